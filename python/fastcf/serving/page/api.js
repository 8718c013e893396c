// Requests of the page: each returns the answer, or throws an Error that says what is wrong and what to do.

async function answer(response) {
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const why = body?.errors?.[0];
  if (why === undefined) throw new Error(`The server answered ${response.status}.`);
  const parts = [why.argument && `${why.argument}:`, why.requirement, why.value !== null && `(got ${why.value})`];
  throw new Error([...parts, why.remedy && `– ${why.remedy}`].filter(Boolean).join(" "));
}

async function reached(request) {
  try {
    return await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached.");
  }
}

export async function get(path, fields = {}, signal = undefined) {
  const query = new URLSearchParams(fields).toString();
  return answer(await reached(fetch(query ? `${path}?${query}` : path, { signal })));
}

export async function ask(path, fields, signal = undefined) {
  const headers = { "Content-Type": "application/json" };
  return answer(await reached(fetch(path, { method: "POST", headers, body: JSON.stringify(fields), signal })));
}
