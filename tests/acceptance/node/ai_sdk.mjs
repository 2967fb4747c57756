// The Vercel AI SDK against the Ark and the OpenAI doors: `ai_sdk.mjs 6` or `ai_sdk.mjs 7`, the majors of `ai`.
// Its providers check replies against schemas and download videos themselves; by default they refuse to do so
// from this machine's own address, so `download` is replaced, as a user of a private gateway must.

import assert from "node:assert/strict";
import { atTheSite, dataUri, fetched, gateway, isPicture, isVideo } from "./check.mjs";
import { key, material, native, refused, run, serving } from "./check.mjs";

const major = process.argv[2];
const newer = major === "7";
const ai = await import(newer ? "ai-7" : "ai");
const { createOpenAI } = await import(newer ? "ai-sdk-openai-4" : "@ai-sdk/openai");
const { createOpenAICompatible } = await import(newer ? "ai-sdk-openai-compatible-3" : "@ai-sdk/openai-compatible");
const { createByteDance } = await import("@ai-sdk/bytedance");

const SEEDREAM = "seedream-4-5-251128";
const SEEDANCE = "dreamina-seedance-2-0-fast-260128";

const at = (name, fault, path) => ({ baseURL: `${gateway(name, fault)}${path}`, apiKey: key });
const bytedance = (name, fault = "none", more = {}) => createByteDance({ ...at(name, fault, "/api/v3"), ...more });
const openai = (name) => createOpenAI(at(name, "none", "/v1"));
const compatible = (name) => createOpenAICompatible({ name: "jimeng", ...at(name, "none", "/v1") });

async function download({ url }) {
  const { bytes, type } = await fetched(url);
  return { data: new Uint8Array(bytes), mediaType: type };
}

/** A video by the Ark door; `wish` as generateVideo takes it, `options` as the provider does. */
async function video(model, wish, options = {}) {
  const providerOptions = { bytedance: { pollIntervalMs: 300, watermark: false, ...options } };
  const result = await ai.experimental_generateVideo({ model, duration: 5, download, providerOptions, ...wish });
  isVideo(result.video.uint8Array);
  assert.ok(result.providerMetadata.bytedance.videos?.length ?? result.providerMetadata.bytedance.taskId);
  return result;
}

async function pictures(wish) {
  const result = await ai.generateImage(wish);
  for (const image of result.images) isPicture(image.uint8Array);
  return result.images;
}

const png = (name) => new Uint8Array(material(name));

/** A fetch whose first poll of a task is answered 503. */
function stumbling() {
  let stumbled = false;
  return (url, init) => {
    if (stumbled || init?.method === "POST" || !`${url}`.includes("/tasks/")) return fetch(url, init);
    stumbled = true;
    return Promise.resolve(new Response('{"error":{"message":"away","code":"Away"}}', { status: 503 }));
  };
}

const checks = {
  // ── @ai-sdk/bytedance ────────────────────────────────────────────────────────────────────────
  "bytedance.image": async (name) => {
    const wish = { model: bytedance(name).image(SEEDREAM), prompt: `${name}: a kite`, size: "2048x2048" };
    assert.equal((await pictures(wish)).length, 1);
  },
  "bytedance.image_n": async (name) => {
    // It has no count of its own: three calls at once that are the same to the last byte, and three wishes.
    const wish = { model: bytedance(name).image(SEEDREAM), prompt: `${name}: a kite`, n: 3 };
    assert.equal((await pictures(wish)).length, 3);
  },
  "bytedance.image_group": async (name) => {
    const options = { size: "2K", sequentialImageGeneration: "auto", maxImages: 3, watermark: false };
    const providerOptions = { bytedance: options };
    const wish = { model: bytedance(name).image(SEEDREAM), prompt: `${name}: three kites`, providerOptions };
    return { pictures: (await pictures(wish)).length };
  },
  "bytedance.image_edit": async (name) => {
    const prompt = { text: `${name}: both in one`, images: [png("a.png"), png("b.png")] };
    assert.equal((await pictures({ model: bytedance(name).image(SEEDREAM), prompt })).length, 1);
  },
  "bytedance.image_refused": async (name) => {
    const wish = { model: bytedance(name).image(SEEDREAM), prompt: `${name}: [sim:reject-text]` };
    const error = await refused(() => ai.generateImage(wish));
    assert.ok(ai.APICallError.isInstance(error), `${error}`);
    assert.equal(error.statusCode, 400);
    assert.equal(typeof error.data.error.code, "string");
  },
  "bytedance.video": async (name) => {
    const wish = { prompt: `${name}: a kite`, aspectRatio: "16:9", resolution: "1280x720" };
    await video(bytedance(name).video(SEEDANCE), wish, { generateAudio: true });
  },
  "bytedance.video_first": async (name) => {
    const prompt = { image: png("a.png"), text: `${name}: it moves` };
    await video(bytedance(name).video(SEEDANCE), { prompt });
  },
  "bytedance.video_first_last": (name) =>
    serving(async (files) => {
      const prompt = { image: dataUri("a.png"), text: `${name}: it moves` };
      await video(bytedance(name).video(SEEDANCE), { prompt }, { lastFrameImage: `${files}/b.png` });
    }),
  "bytedance.video_references": (name) =>
    serving(async (files) => {
      const options = {
        referenceImages: [`${files}/a.png`, `${files}/b.png`],
        referenceVideos: [`${files}/clip.mp4`],
        referenceAudio: [`${files}/tone.mp3`],
      };
      await video(bytedance(name).video(SEEDANCE), { prompt: `${name}: like these` }, options);
    }),
  "bytedance.video_refused": async (name) => {
    const wish = { prompt: `${name}: [sim:reject-result]` };
    const error = await refused(() => video(bytedance(name).video(SEEDANCE), wish));
    assert.match(error.message, /Video generation failed/);
  },
  "bytedance.video_cancelled": async (name) => {
    // Cancelled behind its back: it knows no such status, and has to see an end all the same.
    const cancelled = atTheSite(name).then((id) => native("POST", `/api/v1/tasks/${id}/cancel`));
    const model = bytedance(name).video(SEEDANCE);
    const options = { pollTimeoutMs: 15000 };
    const error = await refused(() => video(model, { prompt: `${name}: [sim:forever]` }, options));
    assert.match(error.message, /Video generation failed/);
    await cancelled;
  },
  "bytedance.poll_503": async (name) => {
    // It begins all over after a poll that failed; with a key of ours the second submit finds the first.
    const model = bytedance(name, "none", { fetch: stumbling() }).video(SEEDANCE);
    await video(model, { prompt: `${name}: a kite`, headers: { "Idempotency-Key": name } });
  },
  "bytedance.refuse": async (name) => {
    await video(bytedance(name, "refuse").video(SEEDANCE), { prompt: `${name}: a kite` });
  },
  "bytedance.lost": async (name) => {
    const headers = { "Idempotency-Key": name };
    await video(bytedance(name, "lost").video(SEEDANCE), { prompt: `${name}: a kite`, headers });
  },
  "bytedance.lost_without_key": async (name) => {
    // It marks its repetitions in no way; it is known by coming back after its own pause on a new connection.
    await video(bytedance(name, "lost").video(SEEDANCE), { prompt: `${name}: a kite` });
  },
  "bytedance.lost_image": async (name) => {
    const headers = { "Idempotency-Key": name };
    const model = bytedance(name, "lost").image(SEEDREAM);
    assert.equal((await pictures({ model, prompt: `${name}: a kite`, headers })).length, 1);
  },

  // ── @ai-sdk/openai ───────────────────────────────────────────────────────────────────────────
  "openai.image": async (name) => {
    const wish = { model: openai(name).image("gpt-image-1"), prompt: `${name}: a kite`, size: "1024x1024", n: 2 };
    assert.equal((await pictures(wish)).length, 2);
  },
  "openai.image_other_name": async (name) => {
    assert.equal((await pictures({ model: openai(name).image("jimeng-4.5"), prompt: `${name}: a kite` })).length, 1);
  },
  "openai.edit": async (name) => {
    const prompt = { text: `${name}: both in one`, images: [png("a.png"), png("b.png")] };
    assert.equal((await pictures({ model: openai(name).image("gpt-image-1"), prompt })).length, 1);
  },
  "openai.chat": async (name) => {
    const result = await ai.generateText({ model: openai(name).chat("jimeng-4.5"), prompt: `${name}: a kite` });
    const [, url] = /!\[[^\]]*\]\((\S+)\)/.exec(result.text);
    isPicture((await fetched(url)).bytes);
  },

  // ── @ai-sdk/openai-compatible ────────────────────────────────────────────────────────────────
  "compatible.image": async (name) => {
    const wish = { model: compatible(name).imageModel("jimeng-4.5"), prompt: `${name}: a kite`, size: "1024x1024" };
    const providerOptions = { jimeng: { ratio: "1:1", quality: "high" } };
    assert.equal((await pictures({ ...wish, providerOptions })).length, 1);
  },
  "compatible.edit": async (name) => {
    const prompt = { text: `${name}: in blue`, images: [png("c.png")] };
    assert.equal((await pictures({ model: compatible(name).imageModel("jimeng-4.5"), prompt })).length, 1);
  },
  "compatible.chat_stream": async (name) => {
    const model = compatible(name).chatModel("seedance-2.0-fast");
    const result = ai.streamText({ model, prompt: `${name}: a kite` });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    const [url] = /https?:\/\/[^\s)"'<>]+/.exec(text);
    isVideo((await fetched(url)).bytes);
  },
};

await run(`ai${major}`, checks);
