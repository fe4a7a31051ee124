#include "native/attention_run.h"

namespace coppice::test {
namespace {

// Two trees with branches inside and at the edge of key blocks, and a plain sequence.
Forest mixed_forest() {
  Forest forest;
  const int32_t prompt = forest.add(100);
  forest.add(30, prompt);
  const int32_t turn = forest.add(70, prompt);
  forest.add(5, turn);
  forest.add(1, prompt);
  forest.add(131);
  const int32_t other = forest.add(63);
  const int32_t one = forest.add(1, other);
  forest.add(2, one);
  forest.add(3, one);
  return forest;
}

const Case forests("attention_forward", "forests, head sizes, grouped queries", [](Run& run) {
  const Forest forest = mixed_forest();
  const AttentionShape shapes[] = {
      attention_shape(2, 2, 8),  attention_shape(4, 2, 16),  attention_shape(4, 1, 24),
      attention_shape(7, 1, 32), attention_shape(4, 4, 64),  attention_shape(2, 1, 80),
      attention_shape(2, 2, 96), attention_shape(4, 2, 128), attention_shape(2, 1, 256)};
  for (const AttentionShape& s : shapes) {
    const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
    const AttentionOutputs got = attend(run, forest, s, inputs);
    const AttentionReference want = attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout);
    run.expect_close("out " + word(s), got.out, want.out, 2e-6);
    run.expect_close("lse " + word(s), got.lse, want.lse, 1e-6);
    run.record("out " + word(s), got.out);
    run.record("lse " + word(s), got.lse);
  }
});

const Case windows("attention_forward", "sliding windows that end inside, at and between key blocks",
                   [](Run& run) {
                     const Forest forest = mixed_forest();
                     for (const int32_t window : {1, 2, 63, 64, 65, 100, 128, 170, 500}) {
                       const AttentionShape s = attention_shape(4, 2, 24, window);
                       const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
                       const AttentionOutputs got = attend(run, forest, s, inputs);
                       const AttentionReference want =
                           attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout);
                       run.expect_close("out " + word(s), got.out, want.out, 2e-6);
                       run.expect_close("lse " + word(s), got.lse, want.lse, 1e-6);
                       run.record("out " + word(s), got.out);
                     }
                   });

const Case wide_window("attention_forward", "a window as long as the sequence changes no bit", [](Run& run) {
  const Forest forest = mixed_forest();
  const AttentionShape all = attention_shape(4, 2, 24), window = attention_shape(4, 2, 24, 175);
  const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), all);
  const AttentionOutputs want = attend(run, forest, all, inputs), got = attend(run, forest, window, inputs);
  run.expect_same_bits("out", got.out, want.out);
  run.expect_same_bits("lse", got.lse, want.lse);
});

const Case many_heads("attention_forward", "more query heads to a kv head than a tile has rows",
                      [](Run& run) {
                        Forest forest;
                        forest.add(66);
                        const AttentionShape s = attention_shape(70, 1, 8);
                        const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
                        const AttentionOutputs got = attend(run, forest, s, inputs);
                        run.expect_close(
                            "out", got.out,
                            attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout).out,
                            2e-6);
                        run.record("out", got.out);
                      });

const Case extremes("attention_forward", "scores of +-80 and equal scores", [](Run& run) {
  Forest forest;
  forest.add(200);
  const AttentionShape s = attention_shape(2, 1, 16);
  AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
  for (float& x : inputs.q) x *= 15.0f;
  for (size_t i = 0; i < inputs.q.size() / 2; ++i) inputs.q[i] = 0.0f;
  const AttentionOutputs got = attend(run, forest, s, inputs);
  const AttentionReference want = attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout);
  // A score of 80 is known to 80 * 2^-24 only.
  run.expect_close("out", got.out, want.out, 3e-5);
  run.expect_close("lse", got.lse, want.lse, 2e-6);
});

// One sequence token by token, as a generator does it: the prompt in one call, its last page copied, then
// calls of a row.
AttentionOutputs decode(Run& run, const AttentionShape& s, const AttentionInputs& path, int32_t prompt,
                        int32_t length) {
  const int64_t q_cols = int64_t{s.num_heads} * s.head_dim;
  const int32_t blocks = static_cast<int32_t>((length - 1) / kKeyBlock) + 1;
  const int32_t prompt_blocks = static_cast<int32_t>((prompt - 1) / kKeyBlock) + 1;
  const Pages pages(run, 2 * blocks, s);
  std::vector<int32_t> table;  // first the prompt's pages, then the sequence's own
  for (int32_t block = 0; block < blocks; ++block) table.push_back(block);
  for (int32_t block = 0; block < blocks; ++block)
    table.push_back(block < prompt / kKeyBlock ? block : blocks + block);
  AttentionOutputs all;
  const auto run_rows = [&](int32_t begin, int32_t count, int32_t page_begin) {
    std::vector<int32_t> rows;
    for (int32_t i = 0; i < count; ++i) rows.push_back(begin + i);
    const DeviceBatch batch(run, {Segment{0, count, -1, begin, page_begin}}, table);
    const AttentionOutputs some = attend(run, pages, batch, s, inputs_of(path, s, rows), count);
    all.out.insert(all.out.end(), some.out.begin(), some.out.end());
    all.lse.insert(all.lse.end(), some.lse.begin(), some.lse.end());
  };
  run_rows(0, prompt, 0);
  if (prompt % kKeyBlock != 0) {
    Context context = run.context();
    ops::kv_copy(context, pages.get(), blocks + prompt_blocks - 1, prompt_blocks - 1,
                 static_cast<int32_t>(prompt % kKeyBlock), s);
  }
  for (int32_t position = prompt; position < length; ++position) run_rows(position, 1, blocks);
  run.expect(static_cast<int64_t>(all.out.size()) == length * q_cols, "decode lost rows");
  return all;
}

// What the engine's exact on-policy promise rests on.
const Case same_bits("attention_forward",
                     "decode, prefill and training, prompt shared or not, give the same bits", [](Run& run) {
                       for (const AttentionShape& s :
                            {attention_shape(2, 2, 24), attention_shape(7, 1, 16),
                             attention_shape(4, 2, 16, 40), attention_shape(2, 1, 16, 100)}) {
                         const int64_t q_cols = int64_t{s.num_heads} * s.head_dim;
                         for (const int32_t prompt : {1, 63, 64, 65, 127}) {
                           Forest shared;
                           shared.add(9);  // a neighbour
                           const int32_t root = shared.add(prompt);
                           const std::vector<int32_t> leaves = {shared.add(5, root), shared.add(66, root),
                                                                shared.add(1, root)};
                           shared.add(70);
                           const AttentionInputs inputs = random_attention_inputs(run, shared.rows(), s);
                           const AttentionOutputs together = attend(run, shared, s, inputs);
                           run.record("shared " + word(s) + ", prompt " + std::to_string(prompt),
                                      together.out);
                           for (const int32_t leaf : leaves) {
                             const Segment& segment = shared.segments()[static_cast<size_t>(leaf)];
                             const std::vector<int32_t> rows =
                                 shared.path_rows(leaf, segment.token_begin + segment.length - 1);
                             const AttentionInputs path = inputs_of(inputs, s, rows);
                             AttentionOutputs want;
                             for (const int32_t row : rows) {
                               const std::vector<float> out = rows_of(together.out, q_cols, row, 1),
                                                        lse = rows_of(together.lse, s.num_heads, row, 1);
                               want.out.insert(want.out.end(), out.begin(), out.end());
                               want.lse.insert(want.lse.end(), lse.begin(), lse.end());
                             }
                             const std::string where = word(s) + ", prompt " + std::to_string(prompt) +
                                                       ", completion " + std::to_string(segment.length);
                             Forest alone;
                             alone.add(static_cast<int32_t>(rows.size()));
                             const AttentionOutputs unshared = attend(run, alone, s, path);
                             run.expect_same_bits("unshared out " + where, unshared.out, want.out);
                             run.expect_same_bits("unshared lse " + where, unshared.lse, want.lse);
                             const AttentionOutputs decoded =
                                 decode(run, s, path, prompt, static_cast<int32_t>(rows.size()));
                             run.expect_same_bits("decoded out " + where, decoded.out, want.out);
                             run.expect_same_bits("decoded lse " + where, decoded.lse, want.lse);
                           }
                         }
                       }
                     });

// Sequences of `lengths` tokens, all but the last of which are cached, take one token each.
const Case decoding_batch(
    "kv_write_attention", "a step of decoding gives the bits and pages of the two ops", [](Run& run) {
      for (const AttentionShape& s : {attention_shape(4, 2, 24), attention_shape(3, 3, 16, 40),
                                      attention_shape(70, 1, 8), attention_shape(2, 1, 32)}) {
        for (const size_t sequences : {size_t{2}, run.small ? size_t{7} : size_t{37}}) {
          const int32_t lengths[] = {2, 64, 65, 30, 129, 100, 66};
          std::vector<Segment> prefixes, tokens;
          std::vector<int32_t> table;
          int32_t rows = 0;
          for (size_t i = 0; i < sequences; ++i) {
            const int32_t length = lengths[i % 7], first_page = static_cast<int32_t>(table.size());
            prefixes.push_back({rows, length - 1, -1, 0, first_page});
            tokens.push_back({static_cast<int32_t>(i), 1, -1, length - 1, first_page});
            for (int32_t b = 0; b * kKeyBlock < length; ++b) table.push_back(first_page + b);
            rows += length - 1;
          }
          const int32_t count = static_cast<int32_t>(sequences);
          const int64_t q_cols = int64_t{s.num_heads} * s.head_dim,
                        kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
          const AttentionInputs cached = random_attention_inputs(run, rows, s),
                                inputs = random_attention_inputs(run, count, s);
          const Pages together(run, static_cast<int32_t>(table.size()), s),
              apart(run, static_cast<int32_t>(table.size()), s);
          const DeviceBatch before(run, prefixes, table), step(run, tokens, table);
          attend(run, together, before, s, cached, rows);
          attend(run, apart, before, s, cached, rows);

          const AttentionOutputs got = attend(run, together, step, s, inputs, count);
          Context context = run.context(run.backend.attention_scratch_bytes(s, count));
          Matrix q(run, "q", count, q_cols, inputs.q), k(run, "k", count, kv_cols, inputs.k),
              v(run, "v", count, kv_cols, inputs.v), out(run, "out", count, q_cols);
          Array<float> lse(run, "lse", count * s.num_heads);
          ops::kv_write(context, apart.get(), k.tensor(), v.tensor(), step.get(), s);
          ops::attention_forward(context, out.tensor(), lse.data(), q.tensor(), apart.get(), step.get(), s);
          const std::string where = word(s) + ", " + std::to_string(sequences) + " sequences";
          run.expect_same_bits("out " + where, got.out, out.values());
          run.expect_same_bits("lse " + where, got.lse, lse.values());
          run.expect_same_bits("key pages " + where, together.k(), apart.k());
          run.expect_same_bits("value pages " + where, together.v(), apart.v());
          run.record("out " + where, got.out);
        }
      }
    });

const Case without_lse("attention_forward", "lse may be left out", [](Run& run) {
  Forest forest;
  forest.add(3);
  const AttentionShape s = attention_shape(1, 1, 8);
  const AttentionInputs inputs = random_attention_inputs(run, 3, s);
  const Pages pages(run, forest.page_count(), s);
  const DeviceBatch batch(run, forest);
  const AttentionOutputs want = attend(run, pages, batch, s, inputs, 3);
  Context context = run.context(run.backend.attention_scratch_bytes(s, 3));
  Matrix q(run, "q", 3, 8, inputs.q), out(run, "out", 3, 8);
  ops::attention_forward(context, out.tensor(), nullptr, q.tensor(), pages.get(), batch.get(), s);
  run.expect_same_bits("out", out.values(), want.out);
});

}  // namespace
}  // namespace coppice::test
