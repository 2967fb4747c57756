// A door before the simulator that speaks HTTP/2 over TLS and nothing else: node h2.mjs KEY CERTIFICATE PORT.
// Prints its port; ends when its input does. A reply that breaks off takes the whole connection with it.
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";

const [key, cert] = process.argv.slice(2, 4).map((path) => readFileSync(path));
const behind = Number(process.argv[4]);

const hop = new Set(["connection", "keep-alive", "transfer-encoding", "date"]);

const door = http2.createSecureServer({ key, cert, allowHTTP1: false });
door.on("sessionError", () => {});
door.on("stream", (stream, headers) => {
  const plain = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  const broken = () => stream.session?.destroy();
  stream.on("error", () => {});
  const asked = http.request({
    host: "127.0.0.1",
    port: behind,
    agent: false,
    method: headers[":method"],
    path: headers[":path"],
    headers: { ...Object.fromEntries(plain), host: headers[":authority"] },
  });
  asked.on("error", broken);
  asked.on("response", (reply) => {
    const kept = Object.entries(reply.headers).filter(([name]) => !hop.has(name));
    reply.on("error", broken);
    if (stream.destroyed) return;
    stream.respond({ ":status": reply.statusCode, ...Object.fromEntries(kept) });
    reply.pipe(stream);
  });
  stream.pipe(asked);
});
door.listen(0, "127.0.0.1", () => console.log(door.address().port));
process.stdin.resume().on("end", () => process.exit(0));
