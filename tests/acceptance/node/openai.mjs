// openai-node against the OpenAI door: `openai.mjs openai` for the current major, `openai.mjs openai-6` for the
// one before. Its types allow what is done here; nothing of the package is replaced.

import assert from "node:assert/strict";
import { atTheSite, dataUri, fetched, gateway, isPicture, isVideo, key } from "./check.mjs";
import { material, pause, refused, run, serving } from "./check.mjs";

const packageName = process.argv[2];
const { default: OpenAI, toFile } = await import(packageName);

const IMAGE = "jimeng-4.5";
const VIDEO = "seedance-2.0-fast";

const picture = (name) => toFile(material(name), name, { type: "image/png" });

async function settled(api, id) {
  for (;;) {
    const { data: video, response } = await api.videos.retrieve(id).withResponse();
    assert.ok(["queued", "in_progress", "completed", "failed"].includes(video.status), video.status);
    if (video.status === "completed" || video.status === "failed") return video;
    assert.equal(video.error, null);
    const wait = response.headers.get("openai-poll-after-ms");
    assert.match(wait, /^\d+$/);
    await pause(Math.min(Number(wait), 400));
  }
}

async function made(api, wish) {
  const video = await api.videos.create(wish);
  assert.equal(video.object, "video");
  assert.equal(typeof video.seconds, "string");
  assert.ok(Number.isInteger(video.progress));
  assert.ok(video._request_id, "no x-request-id");
  const end = await settled(api, video.id);
  assert.equal(end.status, "completed", JSON.stringify(end.error));
  return end;
}

async function content(api, id, query) {
  const response = await api.videos.downloadContent(id, query);
  return { bytes: Buffer.from(await response.arrayBuffer()), type: response.headers.get("content-type") };
}

const checks = {
  // ── pictures ─────────────────────────────────────────────────────────────────────────────────
  "images.url": async ({ name, client }) => {
    const shape = { n: 2, size: "1536x1024", ratio: "3:2" };
    const wish = { model: IMAGE, prompt: `${name}: a kite`, response_format: "url", ...shape };
    const reply = await client.images.generate(wish);
    assert.equal(reply.data.length, 2);
    assert.ok(Number.isInteger(reply.created));
    assert.ok(reply._request_id, "no x-request-id");
    for (const item of reply.data) {
      assert.ok(!("b64_json" in item));
      const file = await fetched(item.url);
      isPicture(file.bytes);
      assert.match(file.type, /^image\//);
    }
  },
  "images.b64": async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: a kite`, response_format: "b64_json" };
    const reply = await client.images.generate(wish);
    assert.ok(!("url" in reply.data[0]));
    isPicture(Buffer.from(reply.data[0].b64_json, "base64"));
  },
  "images.gpt_name": async ({ name, client }) => {
    const reply = await client.images.generate({
      model: "gpt-image-1",
      prompt: `${name}: a kite`,
      quality: "high",
      moderation: "low",
      output_format: "png",
      background: "auto",
    });
    isPicture(Buffer.from(reply.data[0].b64_json, "base64"));
  },
  "images.stream": async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: a kite`, stream: true, partial_images: 2 };
    const events = [];
    for await (const event of await client.images.generate(wish)) events.push(event);
    const last = events.at(-1);
    assert.equal(last.type, "image_generation.completed");
    isPicture(Buffer.from(last.b64_json, "base64"));
    assert.ok(last.usage);
    assert.ok(events.slice(0, -1).every((event) => event.type === "image_generation.partial_image"));
  },
  "images.stream_refused": async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: a kite [sim:reject-text]`, stream: true };
    const error = await refused(async () => {
      for await (const _ of await client.images.generate(wish));
    });
    assert.ok(error instanceof OpenAI.APIError, `${error}`);
    assert.equal(typeof error.code, "string");
  },
  "images.edit_file": async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: the same in blue`, image: await picture("a.png") };
    const reply = await client.images.edit(wish);
    isPicture((await fetched(reply.data[0].url)).bytes);
  },
  "images.edit_list": async ({ name, client }) => {
    const image = [await picture("a.png"), await picture("b.png")];
    const wish = { model: IMAGE, prompt: `${name}: both in one`, image, response_format: "b64_json", n: 1 };
    const reply = await client.images.edit(wish);
    isPicture(Buffer.from(reply.data[0].b64_json, "base64"));
  },
  "images.edit_mask": async ({ name, client }) => {
    const files = { image: await picture("a.png"), mask: await picture("b.png") };
    const error = await refused(() => client.images.edit({ model: IMAGE, prompt: `${name}: a hat`, ...files }));
    assert.equal(error.status, 400);
    assert.equal(error.param, "mask");
    assert.equal(error.headers.get("x-should-retry"), "false");
  },
  "images.variation": async ({ client }) => {
    const reply = await client.images.createVariation({ model: IMAGE, image: await picture("c.png") });
    isPicture((await fetched(reply.data[0].url)).bytes);
  },
  "images.refused": async ({ name, client }) => {
    const error = await refused(() => client.images.generate({ model: IMAGE, prompt: `${name}: [sim:reject-text]` }));
    assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
    assert.equal(typeof error.code, "string");
    assert.equal(error.headers.get("x-should-retry"), "false");
    assert.ok(error.requestID, "no x-request-id");
  },
  "images.impatient": async ({ name, client }) => {
    // Each try gives up before the picture is there; the SDK repeats it, and the last one meets the result.
    const wish = { model: IMAGE, prompt: `${name}: a kite [sim:slow=150]`, response_format: "url" };
    const reply = await client.images.generate(wish, { timeout: 1500, maxRetries: 8 });
    isPicture((await fetched(reply.data[0].url)).bytes);
  },

  // ── videos ───────────────────────────────────────────────────────────────────────────────────
  "videos.text": async ({ name, client }) => {
    const video = await made(client, { model: VIDEO, prompt: `${name}: a kite`, seconds: "5", size: "1280x720" });
    assert.equal(video.progress, 100);
    assert.equal(video.prompt, `${name}: a kite`);
    assert.ok(Number.isInteger(video.completed_at));
    const file = await content(client, video.id);
    isVideo(file.bytes);
    assert.equal(file.type, "video/mp4");
    const poster = await content(client, video.id, { variant: "thumbnail" });
    isPicture(poster.bytes);
    assert.match(poster.type, /^image\//);

    const gone = await client.videos.delete(video.id);
    assert.deepEqual([gone.id, gone.object, gone.deleted], [video.id, "video.deleted", true]);
    const error = await refused(() => client.videos.retrieve(video.id));
    assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
  },
  "videos.sora_name": async ({ name, client }) => {
    const video = await made(client, { model: "sora-2", prompt: `${name}: a kite`, seconds: "8", size: "720x1280" });
    assert.equal(video.model, "sora-2");
    assert.equal(video.seconds, "8");
    assert.equal(video.size, "720x1280");
  },
  "videos.file": async ({ name, client }) => {
    const wish = { model: VIDEO, prompt: `${name}: it moves`, seconds: "5", input_reference: await picture("a.png") };
    isVideo((await content(client, (await made(client, wish)).id)).bytes);
  },
  "videos.image_url": ({ name, client }) =>
    serving(async (files) => {
      const input_reference = { image_url: `${files}/b.png` };
      const video = await made(client, { model: VIDEO, prompt: `${name}: it moves`, seconds: "5", input_reference });
      isVideo((await content(client, video.id)).bytes);
    }),
  "videos.failed": async ({ name, client }) => {
    const wish = { model: VIDEO, prompt: `${name}: [sim:reject-result]`, seconds: "5" };
    const created = await client.videos.create(wish);
    const video = await settled(client, created.id);
    assert.equal(video.status, "failed");
    assert.equal(typeof video.error.code, "string");
    assert.ok(video.error.message);
    const error = await refused(() => client.videos.downloadContent(video.id));
    assert.ok([400, 404].includes(error.status), `${error}`);
  },
  "videos.cancelled": async ({ name, client }) => {
    const { id } = await client.videos.create({ model: VIDEO, prompt: `${name}: [sim:forever]`, seconds: "5" });
    await atTheSite(name);
    assert.equal((await client.videos.delete(id)).deleted, true);
  },
  "videos.list": async ({ name, client }) => {
    const wished = [];
    for (let number = 0; number < 5; number++) {
      wished.push((await client.videos.create({ model: VIDEO, prompt: `${name}: kite ${number}`, seconds: "5" })).id);
    }
    const seen = [];
    let pages = 0;
    for await (const page of (await client.videos.list({ limit: 2 })).iterPages()) {
      pages += 1;
      assert.ok(page.data.length <= 2);
      seen.push(...page.data.map((video) => video.id));
    }
    assert.equal(new Set(seen).size, seen.length, "an id twice");
    assert.ok(wished.every((id) => seen.includes(id)), "an id is missing");
    assert.ok(pages >= 3);
    const oldest = await client.videos.list({ limit: 1, order: "asc" });
    assert.equal(oldest.data.length, 1);
  },
  "videos.remix": async ({ name, client }) => {
    const first = await made(client, { model: VIDEO, prompt: `${name}: a kite`, seconds: "5" });
    const second = await client.videos.remix(first.id, { prompt: `${name}: the same at night` });
    assert.equal(second.remixed_from_video_id, first.id);
    assert.equal((await settled(client, second.id)).status, "completed");
  },

  "videos.edit_id": async ({ name, client }) => {
    const first = await made(client, { model: VIDEO, prompt: `${name}: a kite`, seconds: "5" });
    const second = await client.videos.edit({ prompt: `${name}: at night`, video: { id: first.id } });
    assert.equal((await settled(client, second.id)).status, "completed");
  },
  "videos.edit_file": async ({ name, client }) => {
    const video = await toFile(material("clip.mp4"), "clip.mp4", { type: "video/mp4" });
    const edited = await client.videos.edit({ prompt: `${name}: at night`, video });
    assert.equal((await settled(client, edited.id)).status, "completed");
  },
  "videos.not_offered": async ({ name, client }) => {
    const video = await toFile(material("clip.mp4"), "clip.mp4", { type: "video/mp4" });
    const wishes = [
      () => client.videos.extend({ prompt: `${name}: on and on`, seconds: "5", video }),
      () => client.videos.createCharacter({ name: "kite", video }),
    ];
    for (const wish of wishes) {
      const error = await refused(wish);
      assert.equal(error.status, 400, `${error}`);
      assert.equal(error.code, "not_supported");
      assert.equal(error.headers.get("x-should-retry"), "false");
    }
  },

  // ── the rest ─────────────────────────────────────────────────────────────────────────────────
  models: async ({ client }) => {
    const known = [];
    for await (const model of client.models.list()) known.push(model.id);
    for (const id of [IMAGE, VIDEO, "sora-2", "gpt-image-1"]) assert.ok(known.includes(id), `${id} is missing`);
    assert.equal((await client.models.retrieve(IMAGE)).object, "model");
    const error = await refused(() => client.models.retrieve("jimeng/none such"));
    assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
    assert.equal(error.code, "model_not_found");
  },
  "chat.image": async ({ name, client }) => {
    const reply = await client.chat.completions.create({
      model: IMAGE,
      messages: [{ role: "user", content: `${name}: a kite` }],
    });
    const [, url] = /!\[[^\]]*\]\((\S+)\)/.exec(reply.choices[0].message.content);
    isPicture((await fetched(url)).bytes);
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.ok(Number.isInteger(reply.usage.total_tokens));
  },
  "chat.stream": async ({ name, client }) => {
    const messages = [
      {
        role: "user",
        content: [
          { type: "text", text: `${name}: it moves` },
          { type: "image_url", image_url: { url: dataUri("c.png") } },
        ],
      },
    ];
    let text = "";
    let finish = null;
    for await (const piece of await client.chat.completions.create({ model: VIDEO, messages, stream: true })) {
      assert.equal(piece.object, "chat.completion.chunk");
      text += piece.choices[0]?.delta?.content ?? "";
      finish = piece.choices[0]?.finish_reason ?? finish;
    }
    assert.equal(finish, "stop");
    const [url] = /https?:\/\/[^\s)"'<>]+/.exec(text);
    isVideo((await fetched(url)).bytes);
  },
  dry_run: async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: a kite`, n: 2 };
    const told = await client.images.generate(wish, { query: { dry_run: true } });
    assert.equal(told.object, "dry_run");
    assert.equal(told.request.n ?? told.request.count, 2, JSON.stringify(told));
  },
  unauthorized: async ({ name, client }) => {
    const stranger = client.withOptions({ apiKey: "sk-nobody" });
    const wish = { model: IMAGE, prompt: `${name}: a kite` };
    assert.ok((await refused(() => stranger.images.generate(wish))) instanceof OpenAI.AuthenticationError);
  },
};

// ── disturbed: the SDK tries again by itself, and every one of these is one wish ───────────────────
const FAULTS = ["refuse", "refuse-after", "half", "hangup", "lost"];
const disturbed = {
  image: async ({ name, client }) => {
    const reply = await client.images.generate({ model: IMAGE, prompt: `${name}: a kite`, response_format: "url" });
    assert.equal(reply.data.length, 1);
  },
  edit: async ({ name, client }) => {
    const wish = { model: IMAGE, prompt: `${name}: in blue`, image: await picture("a.png"), response_format: "url" };
    assert.equal((await client.images.edit(wish)).data.length, 1);
  },
  video: async ({ name, client }) => {
    const wish = { model: VIDEO, prompt: `${name}: it moves`, seconds: "5", input_reference: await picture("b.png") };
    await made(client, wish);
  },
  chat: async ({ name, client }) => {
    const messages = [{ role: "user", content: `${name}: a kite` }];
    const reply = await client.chat.completions.create({ model: IMAGE, messages });
    assert.match(reply.choices[0].message.content, /!\[/);
  },
  with_key: async ({ name, client }) => {
    const headers = { "Idempotency-Key": name };
    const wish = { model: VIDEO, prompt: `${name}: a kite`, seconds: "5" };
    const first = await client.videos.create(wish, { headers });
    const again = await client.videos.create(wish, { headers });
    assert.equal(again.id, first.id);
    const error = await refused(() => client.videos.create({ ...wish, seconds: "6" }, { headers }));
    assert.equal(error.status, 422);
  },
};
for (const fault of FAULTS) {
  for (const [what, check] of Object.entries(disturbed)) checks[`${fault}.${what}`] = check;
}

const check = (body) => (name) => {
  const fault = FAULTS.find((fault) => name.includes(`.${fault}.`));
  return body({ name, client: new OpenAI({ baseURL: `${gateway(name, fault)}/v1`, apiKey: key }) });
};
await run(packageName, Object.fromEntries(Object.entries(checks).map(([name, body]) => [name, check(body)])));
