// What the scripts of this folder share: named checks that run side by side and print one line each, files to
// refer to, and a small server for those that are referred to by URL.
//
// A check's name begins the prompts of everything it makes: the test counts submits by it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; pytest tests/acceptance runs this script`);
  return value;
}

/** A key of the gateway. */
export const key = needed("GATEWAY_KEY");

/** The gateway as a check knows it: through a proxy that notes whose requests they are, and may disturb them. */
export const gateway = (name, fault = "none") => `${needed("GATEWAY_URL")}/~${fault}.${name}`;

// Two cores are shared with the gateway.
const AT_ONCE = 8;

/** Carries out all checks, several at a time; `OK name {facts}` or `FAIL name why` for each, under its full name. */
export async function run(prefix, checks) {
  const waiting = Object.entries(checks).map(([name, check]) => [`${prefix}.${name}`, check]);
  const chosen = new RegExp(process.argv[3] ?? "");
  const left = waiting.filter(([name]) => chosen.test(name));
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) await carryOut(...next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function carryOut(name, check) {
  try {
    const facts = (await check(name)) ?? {};
    console.log(`OK ${name} ${JSON.stringify(facts)}`);
  } catch (error) {
    console.log(`FAIL ${name} ${told(error)}`);
    process.exitCode = 1;
  }
}

function told(error) {
  const where = /\/scripts\/(\w+\.mjs:\d+)/.exec(error?.stack ?? "")?.[1] ?? "";
  const cause = error?.cause ? ` (${error.cause})` : "";
  const body = error?.responseBody ? ` ${error.responseBody}` : "";
  return `${where} ${error}${cause}${body}`.replaceAll(/\s+/g, " ").slice(0, 1500);
}

/** The error that a call ends with; an assertion if it ends well. */
export async function refused(call) {
  try {
    const result = await call();
    assert.fail(`it was not refused: ${JSON.stringify(result)?.slice(0, 300)}`);
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return error;
  }
}

/** Calls a route of the gateway's own, beside the program that is tried. */
export async function native(method, path) {
  const response = await fetch(gateway("aside") + path, { method, headers: { authorization: `Bearer ${key}` } });
  assert.equal(response.status, 200, `${method} ${path}: ${response.status}`);
  return response.json();
}

/** The id of this check's task once the site has it. */
export async function atTheSite(name) {
  for (;;) {
    const { data } = await native("GET", "/api/v1/tasks?stage=polling");
    const found = data.find((task) => task.prompt.startsWith(`${name}:`));
    if (found) return found.id;
    await pause(50);
  }
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** A file that the test has made: a.png, b.png, c.png, clip.mp4, tone.mp3. */
export const material = (name) => readFileSync(join(needed("MATERIALS"), name));

export const dataUri = (name) => `data:image/png;base64,${material(name).toString("base64")}`;

/** Asserts that these bytes are a picture, or a video. */
export function isPicture(bytes) {
  const head = Buffer.from(bytes.subarray(0, 12));
  const known =
    head.subarray(0, 4).toString("hex") === "89504e47" ||
    head.subarray(0, 3).toString("hex") === "ffd8ff" ||
    (head.subarray(0, 4).toString() === "RIFF" && head.subarray(8, 12).toString() === "WEBP");
  assert.ok(known, `no picture: ${head.toString("hex")}`);
}

export function isVideo(bytes) {
  assert.equal(Buffer.from(bytes.subarray(4, 8)).toString(), "ftyp", "no MP4");
}

/** Fetches without any key; the bytes and the content type. */
export async function fetched(url, headers = {}) {
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200, `GET ${url}: ${response.status}`);
  return { bytes: Buffer.from(await response.arrayBuffer()), type: response.headers.get("content-type") };
}

const TYPES = { png: "image/png", mp4: "video/mp4", mp3: "audio/mpeg" };

/** A server of the materials for the time of `work`, which is given its address. */
export async function serving(work) {
  const server = createServer((request, response) => {
    const name = request.url.slice(1);
    response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] });
    response.end(material(name));
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  try {
    return await work(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
