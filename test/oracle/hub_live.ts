import { resolveData, resolveModel } from '../../src/hub.ts'
import { HubServer, large } from '../hub/hub-server.ts'

// The part of hub_live.py that is ours.
//   node --import tsx hub_live.ts serve             a hub; prints its address, and ends with its input
//   node --import tsx hub_live.ts fetch MODEL DATA  prints the folder and the files that the ids stand for

const [mode, model = '', data = ''] = process.argv.slice(2)
if (mode === 'serve') {
  const server = await new HubServer().start()
  server.commit('models/org/model', {
    'config.json': '{"model_type": "llama"}',
    'tokenizer.json': '{}',
    'chat_template.jinja': '{{ messages }}',
    'additional_chat_templates/rag.jinja': '{{ documents }}',
    'model.safetensors.index.json': JSON.stringify({ weight_map: { a: 'model-1.safetensors' } }),
    'model-1.safetensors': large(Buffer.alloc(1_000_000, 'parameters ')),
  })
  server.commit('datasets/org/data', {
    'README.md': '---\nconfigs:\n- config_name: main\n  data_files: main/*.jsonl\n---\n',
    'main/a.jsonl': '{"question": "1 + 1", "answer": "#### 2"}\n',
    'main/b c.jsonl': large('{"question": "2 + 2", "answer": "#### 4"}\n'),
  })
  console.log(server.endpoint)
  process.stdin.resume()
  process.stdin.on('end', () => server.stop())
} else console.log(JSON.stringify({ model: await resolveModel(model), data: await resolveData(data) }))
