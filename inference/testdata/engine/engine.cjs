// An OpenAI-compatible server over llama.cpp with real weights, built like the servers that people run: a front that
// speaks HTTP, and a worker process that holds the model and that the front starts again when it dies. A worker that is
// killed in the middle of a stream leaves the client a response that ends in order: status 200, no finish reason.
//
//   node engine.cjs WEIGHTS [PORT]    PORT 0 or none takes a free one
//
// It prints "worker PID" whenever a worker is ready, and "listening PORT". Variables, for tests:
//
//   ENGINE_HOLD=N      the first stream of the first worker stops after N pieces of text, until its client leaves
//   ENGINE_CALLS=raw   a tool call that the model did not finish is passed on as it is. Without it nothing is said of
//                      such a call, and the answer is empty and ends with "stop", as with servers that wait until a
//                      call can be parsed
//
// A prompt that is too long is cut by llama.cpp, and nobody is told.
'use strict';
const http = require('http');
const { fork } = require('child_process');

const WINDOW = 512; // tokens, as the model was trained

if (process.argv[2] === 'worker') worker();
else front(process.argv[2], Number(process.argv[3] || 0));

function front(weights, port) {
  let ready; // a promise of the worker's port
  let hold = process.env.ENGINE_HOLD || '';
  const start = () => {
    const child = fork(__filename, ['worker', weights], { env: { ...process.env, ENGINE_HOLD: hold }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    hold = '';
    ready = new Promise((resolve) => child.once('message', resolve));
    ready.then(() => console.log('worker', child.pid));
    child.on('exit', (code) => (code ? process.exit(code) : start())); // it cannot start, or it was killed
  };
  start();
  const server = http.createServer(async (req, res) => {
    const up = http.request({ port: await ready, method: req.method, path: req.url, headers: req.headers, agent: false }, (got) => {
      res.writeHead(got.statusCode, { 'content-type': got.headers['content-type'] });
      got.on('data', (piece) => res.write(piece));
      got.on('close', () => res.end()); // after the end, or after the worker's death: the client sees no difference
      got.on('error', () => {});
    });
    up.on('error', () => {
      if (!res.headersSent) res.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: 'the worker died', type: 'server_error' } }));
    });
    res.on('close', () => up.destroy());
    req.pipe(up);
  });
  ready.then(() => server.listen(port, '127.0.0.1', () => console.log('listening', server.address().port)));
}

async function worker() {
  process.on('disconnect', () => process.exit()); // the front is dead
  const { loadModel } = require('@fugood/llama.node');
  const llama = await loadModel({ model: process.argv[3], n_ctx: WINDOW, n_batch: 128, n_threads: 1, n_gpu_layers: 0 });
  let turn = Promise.resolve(); // the model answers one request at a time
  const server = http.createServer(async (req, res) => {
    let body = '';
    for await (const piece of req) body += piece;
    turn = turn.then(() => answer(llama, JSON.parse(body), res)).catch((e) => {
      if (!res.headersSent) res.writeHead(500, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: { message: String(e), type: 'server_error' } }));
    });
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port, () => {}));
}

let hold = Number(process.env.ENGINE_HOLD || 0);

// answer streams what the model says to one request.
async function answer(llama, o, res) {
  const gone = new Promise((resolve) => res.on('close', resolve));
  if (res.destroyed) return;
  const stop = () => { if (!res.writableEnded) llama.stopCompletion(); };
  res.on('close', stop);
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const base = { id: 'chatcmpl-' + process.hrtime.bigint().toString(36), object: 'chat.completion.chunk', created: Math.floor(Date.now() / 1000), model: o.model };
  const send = (delta, finish_reason = null) => res.write('data: ' + JSON.stringify({ ...base, choices: [{ index: 0, delta, finish_reason }] }) + '\n\n');
  send({ role: 'assistant', content: '' });

  let said = '', pieces = 0;
  const most = hold || Infinity;
  const x = await llama.completion(await prompt(llama, o), ({ content }) => {
    if (!content || content.length <= said.length || pieces >= most) return;
    send({ content: content.slice(said.length) });
    said = content;
    pieces++;
  });
  if (pieces) hold = 0;
  if (pieces >= most || res.destroyed) return gone;
  let calls = x.tool_calls || [];
  if (process.env.ENGINE_CALLS !== 'raw') calls = calls.filter((c) => whole(c.function.arguments));
  if (calls.length) send({ tool_calls: calls.map((c, index) => ({ index, id: base.id + '-' + index, type: 'function', function: c.function })) });
  else if (x.content && x.content.length > said.length) send({ content: x.content.slice(said.length) });
  send({}, calls.length ? 'tool_calls' : x.stopped_limited ? 'length' : 'stop');
  // llama.cpp's count of evaluated tokens has the answer's in it.
  const usage = { prompt_tokens: x.tokens_evaluated - x.tokens_predicted, completion_tokens: x.tokens_predicted, total_tokens: x.tokens_evaluated };
  res.write('data: ' + JSON.stringify({ ...base, choices: [], usage }) + '\n\n');
  res.end('data: [DONE]\n\n');
}

// prompt is the request in llama.cpp's words. A schema holds the model to it. Tools do not: the grammar that would make
// every call a whole one is left out, as most servers do, so that the model can fail to finish a call.
async function prompt(llama, o) {
  const messages = o.messages.map((m) => ({ ...m, content: m.content ?? '' }));
  const common = { temperature: o.temperature ?? 0, seed: o.seed ?? 1, n_predict: o.max_tokens ?? 256 };
  if (!o.tools) return { ...common, messages, jinja: true, ...(o.response_format && { response_format: o.response_format }) };
  const f = await llama.getFormattedChat(messages, undefined, { jinja: true, tools: o.tools, tool_choice: o.tool_choice || 'auto' });
  return { ...common, prompt: f.prompt, chat_format: f.chat_format, chat_parser: f.chat_parser, generation_prompt: f.generation_prompt };
}

function whole(args) {
  try {
    JSON.parse(args);
    return true;
  } catch {
    return false;
  }
}
