// The storage client of Supabase and the tus client, unchanged, against a running Undercroft.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { StorageClient } from "@supabase/storage-js";
import * as tus from "tus-js-client";

const { UNDERCROFT_URL, SERVICE_KEY, ANON_KEY, ACCESS_TOKEN } = process.env;
const base = `${UNDERCROFT_URL}/storage/v1`;
const headers = { apikey: SERVICE_KEY, Authorization: `Bearer ${SERVICE_KEY}` };
const storage = new StorageClient(base, headers);
const stranger = new StorageClient(base, {
  apikey: ANON_KEY,
  Authorization: `Bearer ${ACCESS_TOKEN}`,
});
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

let number = 0;
const fresh = () => `js-${process.pid}-${++number}`;
const ok = ({ data, error }) => {
  assert.equal(error, null);
  return data;
};
async function bucketWith(files = {}, options = { public: false }) {
  const name = fresh();
  ok(await storage.createBucket(name, options));
  const bucket = storage.from(name);
  for (const [path, content] of Object.entries(files)) ok(await bucket.upload(path, content));
  return Object.assign(bucket, { name });
}

describe("buckets", () => {
  it("createBucket, getBucket, listBuckets, updateBucket", async () => {
    const name = fresh();
    const limits = { public: true, fileSizeLimit: "1MB", allowedMimeTypes: ["image/*"] };
    assert.equal(ok(await storage.createBucket(name, limits)).name, name);
    const bucket = ok(await storage.getBucket(name));
    assert.equal(bucket.public, true);
    assert.equal(bucket.file_size_limit, 1048576);
    assert.deepEqual(bucket.allowed_mime_types, ["image/*"]);
    const found = ok(await storage.listBuckets({ search: name, limit: 5 }));
    assert.deepEqual(found.map((b) => b.id), [name]);
    ok(await storage.updateBucket(name, { public: false }));
    assert.equal(ok(await storage.getBucket(name)).public, false);
  });

  it("emptyBucket, deleteBucket", async () => {
    const { name } = await bucketWith({ "a.txt": "a" });
    const { error } = await storage.deleteBucket(name);
    assert.equal(error.status, 409);
    ok(await storage.emptyBucket(name));
    ok(await storage.deleteBucket(name));
    assert.equal((await storage.getBucket(name)).error.status, 404);
  });
});

describe("files", () => {
  it("upload, of every kind of body", async () => {
    const bucket = await bucketWith();
    const options = { metadata: { colour: "red" }, cacheControl: "60", contentType: "text/plain" };
    const form = new FormData();
    form.append("file", new Blob(["form"], { type: "text/plain" }), "form.txt");
    const bodies = {
      text: "text",
      buffer: Buffer.from("buffer"),
      blob: new Blob(["blob"], { type: "text/plain" }),
      stream: new Blob(["stream"]).stream(),
      form,
    };
    for (const [kind, body] of Object.entries(bodies)) {
      const done = ok(await bucket.upload(`${kind} ü.txt`, body, options));
      assert.equal(done.path, `${kind} ü.txt`);
      assert.equal(done.fullPath, `${bucket.name}/${kind} ü.txt`);
      assert.ok(done.id);
      const info = ok(await bucket.info(`${kind} ü.txt`));
      assert.deepEqual(info.metadata, { colour: "red" });
      assert.equal(info.cacheControl, "max-age=60");
      assert.equal(info.size, kind.length);
      assert.equal(info.bucketId, bucket.name);
    }
  });

  it("upload again is a duplicate, upsert and update replace", async () => {
    const bucket = await bucketWith({ "a.txt": "one" });
    const { error } = await bucket.upload("a.txt", "two");
    assert.equal(error.statusCode, "409");
    ok(await bucket.upload("a.txt", "two", { upsert: true }));
    assert.equal(await ok(await bucket.download("a.txt")).text(), "two");
    ok(await bucket.update("a.txt", "three"));
    assert.equal(await ok(await bucket.download("a.txt")).text(), "three");
  });

  it("download, as a blob and as a stream", async () => {
    const bucket = await bucketWith({ "a.txt": "hello" });
    assert.equal(await ok(await bucket.download("a.txt")).text(), "hello");
    const stream = ok(await bucket.download("a.txt").asStream());
    assert.equal(await new Response(stream).text(), "hello");
    assert.equal((await bucket.download("nothing")).error.status, 404);
  });

  it("exists, info", async () => {
    const bucket = await bucketWith({ "a.txt": "hello" });
    assert.equal((await bucket.exists("a.txt")).data, true);
    assert.equal((await bucket.exists("b.txt")).data, false);
    assert.equal(ok(await bucket.info("a.txt")).contentType, "text/plain; charset=utf-8");
  });

  it("getPublicUrl", async () => {
    const bucket = await bucketWith({ "a ü.txt": "hello" }, { public: true });
    const plain = await fetch(bucket.getPublicUrl("a ü.txt").data.publicUrl);
    assert.equal(await plain.text(), "hello");
    const named = await fetch(bucket.getPublicUrl("a ü.txt", { download: "x.txt" }).data.publicUrl);
    assert.match(named.headers.get("content-disposition"), /attachment.*x\.txt/);
  });

  it("createSignedUrl, createSignedUrls", async () => {
    const bucket = await bucketWith({ "a ü.txt": "hello", "100%.txt": "percent" });
    const { signedUrl } = ok(await bucket.createSignedUrl("a ü.txt", 60));
    assert.equal(await (await fetch(signedUrl)).text(), "hello");
    const named = ok(await bucket.createSignedUrl("a ü.txt", 60, { download: true }));
    const answer = await fetch(named.signedUrl);
    assert.match(answer.headers.get("content-disposition"), /attachment/);
    const odd = ok(await bucket.createSignedUrl("100%.txt", 60));
    assert.equal(await (await fetch(odd.signedUrl)).text(), "percent");
    const many = ok(await bucket.createSignedUrls(["a ü.txt", "nothing"], 60));
    assert.equal(await (await fetch(many[0].signedUrl)).text(), "hello");
    assert.equal(many[1].signedUrl, null);
    assert.ok(many[1].error);
  });

  it("createSignedUploadUrl, uploadToSignedUrl", async () => {
    const bucket = await bucketWith();
    const { token, path } = ok(await bucket.createSignedUploadUrl("a ü.txt"));
    const anonymous = new StorageClient(base, {}).from(bucket.name);
    ok(await anonymous.uploadToSignedUrl(path, token, "brought"));
    assert.equal(await ok(await bucket.download("a ü.txt")).text(), "brought");
    const { error } = await anonymous.uploadToSignedUrl("other.txt", token, "x");
    assert.equal(error.status, 400);
  });

  it("move, copy, also across buckets", async () => {
    const bucket = await bucketWith({ "a.txt": "hello" });
    const other = await bucketWith();
    ok(await bucket.copy("a.txt", "b.txt"));
    ok(await bucket.move("a.txt", "c/a.txt"));
    const copied = ok(await bucket.copy("b.txt", "d.txt", { destinationBucket: other.name }));
    assert.equal(copied.path, `${other.name}/d.txt`);
    ok(await bucket.move("b.txt", "e.txt", { destinationBucket: other.name }));
    assert.deepEqual(ok(await bucket.list()).map((f) => f.name), ["c"]);
    assert.deepEqual(ok(await other.list()).map((f) => f.name), ["d.txt", "e.txt"]);
  });

  it("copy, said to be something else; what is compressed goes out so", async () => {
    const bucket = await bucketWith();
    const packed = gzipSync("a{}");
    const options = { contentType: "text/css", contentEncoding: "gzip", metadata: { k: "v" } };
    ok(await bucket.upload("a.css", packed, options));
    ok(await bucket.upload("b.css", new Blob([packed], { type: "text/css" }), options));
    assert.equal(await ok(await bucket.download("a.css")).text(), "a{}");
    assert.equal(await ok(await bucket.download("b.css")).text(), "a{}");
    const metadata = { mimetype: "text/plain", cacheControl: "max-age=5" };
    ok(await bucket.copy("a.css", "a.txt", { copyMetadata: false, metadata }));
    const info = ok(await bucket.info("a.txt"));
    assert.deepEqual(
      [info.contentType, info.cacheControl, info.contentEncoding, info.metadata],
      ["text/plain", "max-age=5", "gzip", {}],
    );
    const { version } = info;
    assert.equal(ok(await bucket.info("a.txt", { versionId: version })).version, version);
    assert.deepEqual(ok(await bucket.remove([{ path: "a.txt", versionId: info.id }])), []);
    assert.equal(ok(await bucket.remove([{ path: "a.txt", versionId: version }])).length, 1);
  });

  it("list, listV2", async () => {
    const bucket = await bucketWith({ "a.txt": "a", "b.txt": "b", "dir/c.txt": "c" });
    const top = ok(await bucket.list("", { sortBy: { column: "name", order: "desc" } }));
    assert.deepEqual(top.map((f) => f.name), ["dir", "b.txt", "a.txt"]);
    assert.equal(top[0].id, null);
    assert.equal(top[1].metadata.size, 1);
    assert.deepEqual(ok(await bucket.list("dir")).map((f) => f.name), ["c.txt"]);
    const found = ok(await bucket.list("", { search: "b" }));
    assert.deepEqual(found.map((f) => f.name), ["b.txt"]);
    const first = ok(await bucket.listV2({ limit: 2, with_delimiter: true }));
    assert.equal(first.hasNext, true);
    const second = ok(
      await bucket.listV2({ limit: 2, with_delimiter: true, cursor: first.nextCursor }),
    );
    assert.deepEqual([...first.objects, ...second.objects].map((f) => f.name), ["a.txt", "b.txt"]);
    const exact = ok(await bucket.listV2({ prefix: "a.txt", exactMatch: true }));
    assert.deepEqual(exact.objects.map((f) => f.name), ["a.txt"]);
    assert.deepEqual(second.folders.map((f) => f.name), ["dir/"]);
  });

  it("remove", async () => {
    const bucket = await bucketWith({ "a.txt": "a", "b.txt": "b" });
    const gone = ok(await bucket.remove(["a.txt", "nothing"]));
    assert.deepEqual(gone.map((f) => f.name), ["a.txt"]);
    assert.deepEqual(ok(await bucket.list()).map((f) => f.name), ["b.txt"]);
  });

  it("images in other sizes", async () => {
    const bucket = await bucketWith({}, { public: true });
    ok(await bucket.upload("a.png", PIXEL, { contentType: "image/png" }));
    const transform = { width: 5, height: 5 };
    const blob = ok(await bucket.download("a.png", { transform }));
    assert.equal(blob.type, "image/png");
    const url = bucket.getPublicUrl("a.png", { transform }).data.publicUrl;
    assert.equal((await fetch(url)).status, 200);
    const { signedUrl } = ok(await bucket.createSignedUrl("a.png", 60, { transform }));
    assert.equal((await fetch(signedUrl)).status, 200);
  });

  it("refusals are the client's own errors", async () => {
    const { name } = await bucketWith({ "a.txt": "secret" });
    const theirs = stranger.from(name);
    assert.equal((await theirs.download("a.txt")).error.status, 404);
    const { error } = await theirs.upload("b.txt", "x");
    assert.equal(error.status, 403);
    assert.match(error.message, /row-level security/);
    assert.deepEqual(ok(await theirs.remove(["a.txt"])), []);
    assert.deepEqual(ok(await theirs.list()), []);
  });
});

describe("resumable uploads", () => {
  it("tus-js-client, in chunks", async () => {
    const bucket = await bucketWith();
    const content = Buffer.alloc(1_000_000, "tus");
    await new Promise((resolve, reject) => {
      new tus.Upload(content, {
        endpoint: `${base}/upload/resumable`,
        headers: { ...headers, "x-upsert": "true" },
        metadata: {
          bucketName: bucket.name,
          objectName: "folder/large.bin",
          contentType: "application/octet-stream",
          cacheControl: "3600",
        },
        chunkSize: 300_000,
        onError: reject,
        onSuccess: resolve,
      }).start();
    });
    const found = Buffer.from(await ok(await bucket.download("folder/large.bin")).arrayBuffer());
    assert.ok(found.equals(content));
  });
});
