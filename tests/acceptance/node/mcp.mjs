// The TypeScript MCP SDK with its default options, of which one matters: a request that takes more than 60 s
// fails in the client, and progress does not extend it.
//
// `mcp.mjs http` and `mcp.mjs stdio` try the tools; `mcp.mjs long` makes one video that takes 90 s.

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Client as NextClient, StreamableHTTPClientTransport as NextTransport } from "@modelcontextprotocol/client";
import { atTheSite, dataUri, fetched, gateway, isPicture, isVideo, key, refused, run } from "./check.mjs";

const way = process.argv[2];
const TOOLS = ["generate_image", "generate_video", "get_job", "wait_job", "cancel_job", "list_jobs", "list_models"];
const ENDS = ["succeeded", "failed", "cancelled"];
const about = { name: "acceptance", version: "1.0.0" };

function transport(Kind, name, token = key, more = {}) {
  const headers = { Authorization: `Bearer ${token}` };
  return new Kind(new URL(`${gateway(name)}/mcp`), { requestInit: { headers }, ...more });
}

/** A fetch that loses the answer to the first call of a tool. */
function losing() {
  let lost = false;
  const losingFetch = async (url, init) => {
    const response = await fetch(url, init);
    if (lost || !`${init?.body}`.includes('"tools/call"')) return response;
    lost = true;
    await response.arrayBuffer();
    throw new TypeError("fetch failed");
  };
  return { fetch: losingFetch };
}

/** A client for the time of `work`. */
async function connected(name, work, Kind = Client) {
  if (way === "stdio") return work(await shared());
  const client = new Kind(about);
  await client.connect(transport(Kind === Client ? StreamableHTTPClientTransport : NextTransport, name));
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

let server;

/** One client over stdio for all checks: it runs the command that a user would configure. */
function shared() {
  server ??= (async () => {
    const client = new Client(about);
    const [command, ...args] = JSON.parse(process.env.MCP_COMMAND);
    const env = { ...process.env, JIMENG_GATEWAY_URL: process.env.GATEWAY_DIRECT, JIMENG_GATEWAY_KEY: key };
    await client.connect(new StdioClientTransport({ command, args, env }));
    return client;
  })();
  return server;
}

async function called(client, name, args = {}) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, `${name}: ${JSON.stringify(result.content)}`);
  assert.ok(result.structuredContent, `${name} has no structured result`);
  return result;
}

/** Waits by repeated calls, as the tool's own text tells a model to do; the job, and how long calls took. */
async function waited(client, job, seconds = undefined) {
  const took = [];
  let progress = 0;
  while (!ENDS.includes(job.status)) {
    const began = performance.now();
    const wish = { name: "wait_job", arguments: { id: job.id, timeout_s: seconds } };
    const result = await client.callTool(wish, undefined, { onprogress: () => (progress += 1) });
    assert.ok(!result.isError, JSON.stringify(result.content));
    job = result.structuredContent;
    took.push((performance.now() - began) / 1000);
  }
  return { job, took, progress };
}

async function image(client, name) {
  const { structuredContent: job } = await called(client, "generate_image", { prompt: `${name}: a kite` });
  const { job: end } = await waited(client, job);
  assert.equal(end.status, "succeeded", JSON.stringify(end.error));
  isPicture((await fetched(end.urls[0])).bytes);
}

const short = {
  tools: (name) =>
    connected(name, async (client) => {
      const { tools } = await client.listTools();
      const names = tools.map((tool) => tool.name);
      for (const wanted of TOOLS) assert.ok(names.includes(wanted), `${wanted} is missing`);
      for (const tool of tools) {
        assert.ok(tool.description, tool.name);
        assert.ok(tool.outputSchema, `${tool.name} has no output schema`);
      }
      await called(client, "list_models");
      await called(client, "list_jobs");
      await called(client, "get_credits");
    }),
  image: (name) => connected(name, (client) => image(client, name)),
  video: (name) =>
    connected(name, async (client) => {
      const wish = { prompt: `${name}: a kite`, duration: 5 };
      const { structuredContent: job } = await called(client, "generate_video", wish);
      const { job: end, progress } = await waited(client, job, 20);
      assert.equal(end.status, "succeeded", JSON.stringify(end.error));
      isVideo((await fetched(end.urls[0])).bytes);
      const { structuredContent: again } = await called(client, "get_job", { id: end.id });
      assert.deepEqual(again.urls, end.urls);
      return { progress };
    }),
  repeated: (name) =>
    connected(name, async (client) => {
      const wish = { prompt: `${name}: a kite`, idempotency_key: name };
      const say = () => called(client, "generate_image", wish);
      const [first, second] = await Promise.all([say(), say()]);
      assert.equal(first.structuredContent.id, second.structuredContent.id);
      await waited(client, first.structuredContent);
    }),
  cancelled: (name) =>
    connected(name, async (client) => {
      const { structuredContent: job } = await called(client, "generate_video", { prompt: `${name}: [sim:forever]` });
      await atTheSite(name);
      const { structuredContent: end } = await called(client, "cancel_job", { id: job.id });
      assert.equal(end.status, "cancelled");
    }),
  refused: (name) =>
    connected(name, async (client) => {
      const wish = { prompt: `${name}: [sim:reject-text]` };
      const { structuredContent: job } = await called(client, "generate_image", wish);
      const { job: end } = await waited(client, job);
      assert.equal(end.status, "failed");
      assert.equal(typeof end.error.code, "string");
    }),
};

const overHttp = {
  unauthorized: async (name) => {
    const client = new Client(about);
    const error = await refused(() => client.connect(transport(StreamableHTTPClientTransport, name, "sk-nobody")));
    assert.ok(/401|unauthorized/i.test(`${error} ${error.code}`), `${error}`);
  },
  reference: (name) =>
    connected(name, async (client) => {
      const wish = { prompt: `${name}: in blue`, images: [dataUri("a.png")] };
      const { structuredContent: job } = await called(client, "generate_image", wish);
      assert.equal((await waited(client, job)).job.status, "succeeded");
    }),
  lost: async (name) => {
    // The call was carried out and its answer lost; the model calls again in the same words.
    const client = new Client(about);
    await client.connect(transport(StreamableHTTPClientTransport, name, key, losing()));
    const wish = { name: "generate_image", arguments: { prompt: `${name}: a kite`, idempotency_key: name } };
    await refused(() => client.callTool(wish));
    const { structuredContent: job } = await called(client, wish.name, wish.arguments);
    assert.equal((await waited(client, job)).job.status, "succeeded");
    await client.close();
  },
  next: (name) => connected(name, (client) => image(client, name), NextClient),
};

const long = {
  video: (name) =>
    connected(name, async (client) => {
      const began = performance.now();
      const wish = { prompt: `${name}: a kite`, duration: 5 };
      const { structuredContent: job } = await called(client, "generate_video", wish);
      const { job: end, took } = await waited(client, job);
      assert.equal(end.status, "succeeded", JSON.stringify(end.error));
      isVideo((await fetched(end.urls[0])).bytes);
      return { seconds: (performance.now() - began) / 1000, waits: took.length, longest: Math.max(...took) };
    }),
};

const checks = { http: { ...short, ...overHttp }, stdio: short, long }[way];
await run(`mcp-${way}`, checks);
await (await server)?.close();
