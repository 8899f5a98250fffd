// @supabase/postgrest-js and the rows of @supabase/supabase-js, as an application uses them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PostgrestClient } from "@supabase/postgrest-js";
import { createClient } from "@supabase/supabase-js";

const { UNDERCROFT_URL, ANON_KEY, SERVICE_KEY, ACCESS_TOKEN, USER_ID } = process.env;
const supabase = createClient(UNDERCROFT_URL, ANON_KEY, { accessToken: async () => ACCESS_TOKEN });
const service = createClient(UNDERCROFT_URL, SERVICE_KEY, { auth: { persistSession: false } });

const shops = [
  { id: 1, name: "North" },
  { id: 2, name: "South" },
];
const goods = [
  { id: 1, name: "Apple", price: 1.5, labels: ["fruit", "red"], facts: { kcal: 52 }, shop_id: 1 },
  { id: 2, name: "Bread", price: 3, labels: ["baked"], facts: { kcal: 265 }, shop_id: 1 },
  { id: 3, name: "Cheese", price: null, labels: [], facts: null, shop_id: 2, sold_in: "[1,5)" },
];

function ids({ data, error }) {
  assert.equal(error, null);
  return data.map((row) => row.id);
}

// Other tests of this server have rows of their own.
async function empty() {
  await supabase.from("goods").delete().not("id", "is", null);
  await supabase.from("shops").delete().not("id", "is", null);
}

before(async () => {
  await empty();
  assert.equal((await supabase.from("shops").insert(shops)).error, null);
  const made = await supabase.from("goods").insert(goods).select("id, owner");
  assert.deepEqual(made.data.map((row) => row.owner), [USER_ID, USER_ID, USER_ID]);
});

after(empty);

test("select with embeds, renames, casts and JSON paths", async () => {
  const { data, error } = await supabase
    .from("goods")
    .select("title:name, price::text, kcal:facts->kcal, shops!inner(name)")
    .eq("shops.name", "North")
    .order("id");
  assert.equal(error, null);
  assert.deepEqual(data[0], { title: "Apple", price: "1.5", kcal: 52, shops: { name: "North" } });
  assert.equal(data.length, 2);
});

test("embeds with a filter, an order and a limit of their own", async () => {
  const { data } = await supabase
    .from("shops")
    .select("name, goods(name)")
    .order("id")
    .order("price", { referencedTable: "goods", ascending: false })
    .limit(1, { referencedTable: "goods" });
  assert.deepEqual(data[0], { name: "North", goods: [{ name: "Bread" }] });
});

test("every filter", async () => {
  const all = () => supabase.from("goods").select("id").order("id");
  assert.deepEqual(ids(await all().eq("id", 2)), [2]);
  assert.deepEqual(ids(await all().neq("id", 2)), [1, 3]);
  assert.deepEqual(ids(await all().gt("id", 1).gte("id", 2).lt("id", 3).lte("id", 2)), [2]);
  assert.deepEqual(ids(await all().like("name", "%ppl%")), [1]);
  assert.deepEqual(ids(await all().ilike("name", "B%")), [2]);
  assert.deepEqual(ids(await all().likeAllOf("name", ["A%", "%e"])), [1]);
  assert.deepEqual(ids(await all().likeAnyOf("name", ["A%", "B%"])), [1, 2]);
  assert.deepEqual(ids(await all().ilikeAllOf("name", ["a%", "%E"])), [1]);
  assert.deepEqual(ids(await all().ilikeAnyOf("name", ["a%", "b%"])), [1, 2]);
  assert.deepEqual(ids(await all().is("price", null)), [3]);
  assert.deepEqual(ids(await all().in("id", [1, 3])), [1, 3]);
  assert.deepEqual(ids(await all().contains("labels", ["red"])), [1]);
  assert.deepEqual(ids(await all().containedBy("labels", ["baked", "x"])), [2, 3]);
  assert.deepEqual(ids(await all().overlaps("labels", ["baked", "fruit"])), [1, 2]);
  assert.deepEqual(ids(await all().contains("facts", { kcal: 52 })), [1]);
  assert.deepEqual(ids(await all().rangeGt("sold_in", "[0,1)")), [3]);
  assert.deepEqual(ids(await all().rangeGte("sold_in", "[1,2)")), [3]);
  assert.deepEqual(ids(await all().rangeLt("sold_in", "[6,7)")), [3]);
  assert.deepEqual(ids(await all().rangeLte("sold_in", "[2,6)")), [3]);
  assert.deepEqual(ids(await all().rangeAdjacent("sold_in", "[5,6)")), [3]);
  assert.deepEqual(ids(await all().textSearch("name", "apple", { type: "plain" })), [1]);
  assert.deepEqual(ids(await all().textSearch("name", "apple", { type: "websearch" })), [1]);
  assert.deepEqual(ids(await all().match({ name: "Bread", shop_id: 1 })), [2]);
  assert.deepEqual(ids(await all().not("id", "in", "(1,2)")), [3]);
  assert.deepEqual(ids(await all().or("id.eq.1,and(price.gt.2,shop_id.eq.1)")), [1, 2]);
  assert.deepEqual(ids(await all().filter("facts->>kcal", "eq", "52")), [1]);
});

test("ranges and counts", async () => {
  const page = await supabase.from("goods").select("id", { count: "exact" }).order("id").range(1, 2);
  assert.equal(page.count, 3);
  assert.deepEqual(ids(page), [2, 3]);
  const head = await supabase.from("goods").select("*", { count: "exact", head: true });
  assert.deepEqual([head.count, head.data], [3, null]);
  const guess = await supabase.from("goods").select("id", { count: "estimated" });
  assert.equal(typeof guess.count, "number");
});

test("single, maybeSingle and csv", async () => {
  const one = await supabase.from("goods").select("name").eq("id", 1).single();
  assert.deepEqual(one.data, { name: "Apple" });
  const none = await supabase.from("goods").select("name").eq("id", 99).maybeSingle();
  assert.deepEqual([none.data, none.error], [null, null]);
  const many = await supabase.from("goods").select("name").single();
  assert.equal(many.error.code, "PGRST116");
  const csv = await supabase.from("goods").select("id,name").order("id").csv();
  assert.equal(csv.data, "id,name\n1,Apple\n2,Bread\n3,Cheese");
});

test("update, upsert and delete with what they return", async () => {
  const changed = await supabase.from("goods").update({ price: 9 }).eq("id", 3).select().single();
  assert.equal(changed.data.price, 9);
  const merged = await supabase
    .from("goods")
    .upsert([{ id: 3, name: "Cheese", price: 10 }, { id: 4, name: "Dates" }], { onConflict: "id" })
    .select("id, price");
  assert.deepEqual(merged.data, [{ id: 3, price: 10 }, { id: 4, price: null }]);
  const ignored = await supabase
    .from("goods")
    .upsert({ id: 4, name: "Other" }, { ignoreDuplicates: true })
    .select();
  assert.deepEqual(ignored.data, []);
  const gone = await supabase.from("goods").delete({ count: "exact" }).eq("id", 4);
  assert.deepEqual([gone.status, gone.count, gone.data], [204, 1, null]);
  await supabase.from("goods").update({ price: null }).eq("id", 3);
});

test("row security: strangers see nothing, the service key everything", async () => {
  const anonymous = createClient(UNDERCROFT_URL, ANON_KEY, { auth: { persistSession: false } });
  const refused = await anonymous.from("goods").select();
  assert.equal(refused.error.code, "42501");
  assert.deepEqual(ids(await service.from("goods").select("id").order("id")), [1, 2, 3]);
  const stolen = await supabase.from("goods").insert({
    id: 66, name: "Stolen", owner: "00000000-0000-0000-0000-000000000000",
  });
  assert.equal(stolen.error.code, "42501");
});

test("errors as the client parses them", async () => {
  const { error, status } = await supabase.from("goods").select("nothing");
  assert.deepEqual([status, error.code], [400, "42703"]);
  const missing = await supabase.from("nowhere").select();
  assert.deepEqual([missing.status, missing.error.code], [404, "PGRST205"]);
  const unknown = await supabase.rpc("nothing", { a: 1 });
  assert.deepEqual([unknown.status, unknown.error.code], [404, "PGRST202"]);
});

test("postgrest-js alone, with headers and a schema", async () => {
  const client = new PostgrestClient(`${UNDERCROFT_URL}/rest/v1`, {
    headers: { apikey: ANON_KEY, Authorization: `Bearer ${ACCESS_TOKEN}` },
    schema: "public",
  });
  assert.deepEqual(ids(await client.from("goods").select("id").eq("id", 1)), [1]);
  const plan = await client.schema("auth").from("users").select();
  assert.equal(plan.error.code, "PGRST106");
});
