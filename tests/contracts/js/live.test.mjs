// @supabase/realtime-js, and the channels of @supabase/supabase-js, as an application uses them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { RealtimeClient, postgresChangesFilter } from "@supabase/realtime-js";
import { createClient } from "@supabase/supabase-js";

const { UNDERCROFT_URL, ANON_KEY, SERVICE_KEY, ACCESS_TOKEN, USER_ID } = process.env;
const service = createClient(UNDERCROFT_URL, SERVICE_KEY, { auth: { persistSession: false } });
const clients = [];

function open(vsn, key = ANON_KEY) {
  const url = `${UNDERCROFT_URL.replace("http", "ws")}/realtime/v1`;
  const client = new RealtimeClient(url, { params: { apikey: key }, vsn });
  clients.push(client);
  return client;
}

function subscribed(channel) {
  return new Promise((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === "SUBSCRIBED") resolve(channel);
      else if (status !== "CLOSED") reject(error ?? new Error(status));
    });
  });
}

// Resolves with what `register(callback)` is called with.
function once(register) {
  return new Promise((resolve) => register(resolve));
}

before(async () => {
  const answer = await fetch(`${UNDERCROFT_URL}/api/v1/realtime/tables/goods`, {
    method: "PUT",
    headers: { Authorization: `Bearer ${SERVICE_KEY}` },
  });
  assert.equal(answer.status, 200);
  const mine = "realtime.topic() = 'own:' || (select auth.uid())";
  const policy = { name: "own", roles: ["authenticated"], using: mine, check: mine };
  const path = `${UNDERCROFT_URL}/api/v1/tables/messages/policies?schema=realtime`;
  const headers = { Authorization: `Bearer ${SERVICE_KEY}`, "Content-Type": "application/json" };
  const made = await fetch(path, { method: "POST", headers, body: JSON.stringify(policy) });
  assert.equal(made.status, 201, await made.text());
  await service.from("goods").delete().gte("id", 1000);
});

after(async () => {
  await service.from("goods").delete().gte("id", 1000);
  await Promise.all(clients.map((client) => client.removeAllChannels()));
});

for (const vsn of ["1.0.0", "2.0.0"]) {
  const room = (name) => `${name}-${vsn}`;
  const first = vsn === "1.0.0" ? 1000 : 2000;

  test(`postgres_changes under row security (${vsn})`, async () => {
    const client = open(vsn);
    await client.setAuth(ACCESS_TOKEN);
    const heard = [];
    const names = [];
    const options = { config: { postgres_changes_options: { wait: true } } };
    const channel = client
      .channel(room("goods"), options)
      .on("postgres_changes", { event: "*", schema: "public", table: "goods" }, (change) =>
        heard.push(change),
      )
      .on(
        "postgres_changes",
        {
          event: "UPDATE",
          schema: "public",
          table: "goods",
          filter: postgresChangesFilter().gt("price", 5).eq("name", 'Jam, "red" (sweet)'),
        },
        (change) => names.push(change.new.name),
      );
    const ready = once((done) => channel.on("system", {}, done));
    await subscribed(channel);
    assert.equal((await ready).status, "ok");
    const name = 'Jam, "red" (sweet)';
    const row = { id: first, name, price: 2.5, labels: ["a"], facts: { a: 1 } };
    const mine = { ...row, owner: USER_ID };
    assert.equal((await service.from("goods").insert(mine)).error, null);
    const others = { ...mine, id: first + 1, owner: crypto.randomUUID() };
    assert.equal((await service.from("goods").insert(others)).error, null);
    await service.from("goods").update({ price: 7 }).gte("id", first);
    await service.from("goods").delete().eq("id", first + 1);
    await service.from("goods").delete().eq("id", first);
    while (heard.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(heard.map((change) => change.eventType), ["INSERT", "UPDATE", "DELETE"]);
    const [inserted, updated, deleted] = heard;
    assert.deepEqual(inserted.new, { ...mine, sold_in: null, shop_id: null });
    assert.deepEqual([inserted.schema, inserted.table, inserted.errors], ["public", "goods", null]);
    assert.ok(Date.parse(inserted.commit_timestamp));
    assert.deepEqual([updated.old.price, updated.new.price], [2.5, 7]);
    assert.deepEqual([deleted.old.id, deleted.new], [first, {}]);
    assert.deepEqual(names, [name]);
    assert.equal(await channel.unsubscribe(), "ok");
  });

  test(`broadcast with acknowledgement, to oneself and by HTTP (${vsn})`, async () => {
    const [alice, bob] = [open(vsn), open(vsn)];
    const broadcast = { ack: true, self: true, replication_ready: true };
    const sending = alice.channel(room("chat"), { config: { broadcast } });
    const ready = once((done) => sending.on("system", {}, done));
    const hearing = bob.channel(room("chat"));
    const own = once((done) => sending.on("broadcast", { event: "hello" }, done));
    const theirs = once((done) => hearing.on("broadcast", { event: "hello" }, done));
    const posted = once((done) => hearing.on("broadcast", { event: "posted" }, done));
    const all = [];
    hearing.on("broadcast", { event: "*" }, (message) => all.push(message.event));
    await Promise.all([subscribed(sending), subscribed(hearing)]);
    assert.equal((await ready).message, "Replication connection established");
    const payload = { text: "grüße 🎉", n: 1.5 };
    assert.equal(await sending.send({ type: "broadcast", event: "hello", payload }), "ok");
    assert.deepEqual((await own).payload, payload);
    assert.deepEqual((await theirs).payload, payload);
    assert.deepEqual(await sending.httpSend("posted", { n: 2 }), { success: true });
    assert.deepEqual((await posted).payload, { n: 2 });
    assert.deepEqual(all, ["hello", "posted"]);
  });

  test(`presence (${vsn})`, async () => {
    const [alice, bob] = [open(vsn), open(vsn)];
    const here = alice.channel(room("presence"), { config: { presence: { key: "alice" } } });
    const there = bob.channel(room("presence"), { config: { presence: { key: "bob" } } });
    here.on("presence", { event: "sync" }, () => {});
    const joined = once((done) => here.on("presence", { event: "join" }, done));
    const left = once((done) => here.on("presence", { event: "leave" }, done));
    there.on("presence", { event: "sync" }, () => {});
    await Promise.all([subscribed(here), subscribed(there)]);
    assert.equal(await there.track({ mood: "fine" }), "ok");
    assert.equal((await joined).key, "bob");
    assert.equal(here.presenceState().bob[0].mood, "fine");
    assert.equal(await there.untrack(), "ok");
    assert.equal((await left).key, "bob");
    assert.deepEqual(here.presenceState(), {});
  });

  test(`a private channel without a policy is refused (${vsn})`, async () => {
    const client = open(vsn);
    await client.setAuth(ACCESS_TOKEN);
    const channel = client.channel(room("secret"), { config: { private: true } });
    await assert.rejects(subscribed(channel), /Unauthorized/);
    await client.removeChannel(channel);
  });
}

test("bytes travel in version 2.0.0", async () => {
  const [alice, bob] = [open("2.0.0"), open("2.0.0")];
  const sending = alice.channel("bytes");
  const hearing = bob.channel("bytes");
  const heard = once((done) => hearing.on("broadcast", { event: "raw" }, done));
  await Promise.all([subscribed(sending), subscribed(hearing)]);
  await sending.send({ type: "broadcast", event: "raw", payload: Uint8Array.of(0, 255, 7).buffer });
  assert.deepEqual([...new Uint8Array((await heard).payload)], [0, 255, 7]);
});

test("supabase-js subscribes with its user's token and removes its channels", async () => {
  const supabase = createClient(UNDERCROFT_URL, ANON_KEY, { accessToken: async () => ACCESS_TOKEN });
  await supabase.realtime.setAuth();
  const channel = supabase.channel("supabase-js", {
    config: { postgres_changes_options: { wait: true } },
  });
  const inserted = once((done) =>
    channel.on("postgres_changes", { event: "INSERT", schema: "public", table: "goods" }, done),
  );
  await subscribed(channel);
  const row = { id: 3000, name: "Oil", owner: USER_ID };
  assert.equal((await service.from("goods").insert(row)).error, null);
  assert.equal((await inserted).new.name, "Oil");
  assert.equal(supabase.getChannels().length, 1);
  assert.equal(await supabase.removeChannel(channel), "ok");
  assert.deepEqual(await supabase.removeAllChannels(), []);
});

test("heartbeats are answered", async () => {
  const client = open("2.0.0");
  const answered = once((done) =>
    client.onHeartbeat((status) => {
      if (status === "ok") done(status);
    }),
  );
  await subscribed(client.channel("beat"));
  await client.sendHeartbeat();
  assert.equal(await answered, "ok");
});

test("what is stored comes back to who joins later", async () => {
  const [alice, bob] = [open("2.0.0"), open("2.0.0", SERVICE_KEY)];
  await alice.setAuth(ACCESS_TOKEN);
  const name = `own:${USER_ID}`;
  const sending = alice.channel(name, { config: { private: true, broadcast: { ack: true } } });
  const hearing = bob.channel(name, { config: { private: true } });
  const own = [];
  sending.on("broadcast", { event: "*" }, (message) => own.push(message));
  const heard = [];
  hearing.on("broadcast", { event: "*" }, (message) => heard.push(message));
  await Promise.all([subscribed(sending), subscribed(hearing)]);
  const send = (n, persist) =>
    sending.send({ type: "broadcast", event: "kept", payload: { n }, persist });
  assert.deepEqual(await Promise.all([send(1, true), send(2, { ttl: 60 }), send(3)]), Array(3).fill("ok"));
  await sending.httpSend("kept", { n: 4 }, { persist: true });
  while (heard.length < 4 || own.length < 1) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(heard.map((message) => message.payload.n).sort(), [1, 2, 3, 4]);
  assert.deepEqual(own.map((message) => message.payload.n), [4]);
  const bytes = Uint8Array.of(1).buffer;
  assert.match(await sending.send({ type: "broadcast", event: "b", payload: bytes, persist: true }), /Only JSON/);
  const carol = open("2.0.0", SERVICE_KEY);
  const replay = { since: 0, limit: 10 };
  const later = carol.channel(name, { config: { private: true, broadcast: { replay } } });
  const replayed = [];
  later.on("broadcast", { event: "kept" }, (message) => replayed.push(message));
  await subscribed(later);
  while (replayed.length < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(replayed.map((message) => message.payload.n).sort(), [1, 2, 4]);
  assert.ok(replayed.every((message) => message.meta.id && message.meta.replayed));
});

test("a client that lost its connection goes on where it was", async () => {
  const client = open("2.0.0", SERVICE_KEY);
  const wish = { event: "INSERT", schema: "public", table: "goods", filter: "id=gte.4000" };
  const heard = new Set();
  const channel = client.channel("resuming");
  channel.on("postgres_changes", wish, (change) => {
    wish.since = change.commit_timestamp; // what the next join asks for
    heard.add(change.new.id);
  });
  const following = once((done) => channel.on("system", {}, done));
  await subscribed(channel);
  await following;
  const insert = (id) => service.from("goods").insert({ id, name: "Rice", owner: USER_ID });
  await insert(4000);
  while (!heard.has(4000)) await new Promise((resolve) => setTimeout(resolve, 20));
  client.socketAdapter.getSocket().conn.close();
  await insert(4001);
  await insert(4002);
  while (heard.size < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([...heard], [4000, 4001, 4002]);
});
