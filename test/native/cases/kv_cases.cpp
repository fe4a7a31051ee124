#include "native/attention_run.h"

namespace coppice::test {
namespace {

size_t k_index(const AttentionShape& s, int32_t page, int32_t head, int32_t d, int32_t slot) {
  return (static_cast<size_t>(page * s.num_kv_heads + head) * static_cast<size_t>(s.head_dim) +
          static_cast<size_t>(d)) *
             kKeyBlock +
         static_cast<size_t>(slot);
}
size_t v_index(const AttentionShape& s, int32_t page, int32_t head, int32_t d, int32_t slot) {
  return (static_cast<size_t>(page * s.num_kv_heads + head) * kKeyBlock + static_cast<size_t>(slot)) *
             static_cast<size_t>(s.head_dim) +
         static_cast<size_t>(d);
}

// What kv_write must leave: `pages` with the slots of every segment, and of its ancestors in a block of its
// own, replaced.
struct Image {
  std::vector<float> k, v;

  void put(const AttentionShape& s, int32_t page, int32_t slot, const AttentionInputs& inputs, int32_t row) {
    for (int32_t head = 0; head < s.num_kv_heads; ++head) {
      for (int32_t d = 0; d < s.head_dim; ++d) {
        const size_t from = static_cast<size_t>((row * s.num_kv_heads + head) * s.head_dim + d);
        k[k_index(s, page, head, d, slot)] = inputs.k[from];
        v[v_index(s, page, head, d, slot)] = inputs.v[from];
      }
    }
  }
  void copy(const AttentionShape& s, int32_t to, int32_t from, int32_t slots) {
    for (int32_t head = 0; head < s.num_kv_heads; ++head) {
      for (int32_t d = 0; d < s.head_dim; ++d) {
        for (int32_t slot = 0; slot < slots; ++slot) {
          k[k_index(s, to, head, d, slot)] = k[k_index(s, from, head, d, slot)];
          v[v_index(s, to, head, d, slot)] = v[v_index(s, from, head, d, slot)];
        }
      }
    }
  }
};

void write(Run& run, const Pages& pages, const DeviceBatch& batch, const AttentionShape& s,
           const AttentionInputs& inputs, int64_t rows) {
  const int64_t cols = int64_t{s.num_kv_heads} * s.head_dim;
  Context context = run.context();
  Matrix k(run, "k", rows, cols, inputs.k), v(run, "v", rows, cols, inputs.v);
  ops::kv_write(context, pages.get(), k.tensor(), v.tensor(), batch.get(), s);
}

const Case slots("kv_write", "every position in its slot, nothing else touched", [](Run& run) {
  for (const AttentionShape& s :
       {attention_shape(2, 2, 8), attention_shape(1, 1, 24), attention_shape(3, 3, 40)}) {
    Forest forest;
    const int32_t prompt = forest.add(70);
    const int32_t turn = forest.add(3, prompt);  // three levels inside one block
    forest.add(2, turn);
    forest.add(60, turn);
    forest.add(58, prompt);  // up to the block's end
    forest.add(1, forest.add(128));
    const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
    const Pages pages(run, forest.page_count(), s);
    Image want{pages.k(), pages.v()};
    for (size_t i = 0; i < forest.segments().size(); ++i) {
      const Segment& segment = forest.segments()[i];
      const std::vector<int32_t> path =
          forest.path_rows(static_cast<int32_t>(i), segment.token_begin + segment.length - 1);
      const int32_t block = static_cast<int32_t>(kKeyBlock), first = segment.position_begin / block * block;
      for (int32_t p = first; p < static_cast<int32_t>(path.size()); ++p) {
        const int32_t page = forest.page_table()[static_cast<size_t>(segment.page_begin + p / block)];
        want.put(s, page, p % block, inputs, path[static_cast<size_t>(p)]);
      }
    }
    write(run, pages, DeviceBatch(run, forest), s, inputs, forest.rows());
    run.expect_same_bits("k " + word(s), pages.k(), want.k);
    run.expect_same_bits("v " + word(s), pages.v(), want.v);
  }
});

const Case cached_parent("kv_write", "a branch inside a block whose begin only the cache holds",
                         [](Run& run) {
                           const AttentionShape s = attention_shape(2, 2, 16);
                           // Positions 0 .. 9 are in page 0 from an earlier call. The batch goes on with 10
                           // .. 14 there; two branches follow in pages of their own, and one in the same
                           // page.
                           const std::vector<Segment> segments = {
                               {0, 5, -1, 10, 0}, {5, 4, 0, 15, 1}, {9, 1, 0, 15, 2}, {10, 2, 0, 15, 0}};
                           const AttentionInputs inputs = random_attention_inputs(run, 12, s);
                           const Pages pages(run, 3, s);
                           Image want{pages.k(), pages.v()};
                           for (int32_t i = 0; i < 5; ++i) want.put(s, 0, 10 + i, inputs, i);
                           want.copy(s, 1, 0, 15);
                           want.copy(s, 2, 0, 15);
                           for (int32_t i = 0; i < 4; ++i) want.put(s, 1, 15 + i, inputs, 5 + i);
                           want.put(s, 2, 15, inputs, 9);
                           for (int32_t i = 0; i < 2; ++i) want.put(s, 0, 15 + i, inputs, 10 + i);
                           write(run, pages, DeviceBatch(run, segments, {0, 1, 2}), s, inputs, 12);
                           run.expect_same_bits("k", pages.k(), want.k);
                           run.expect_same_bits("v", pages.v(), want.v);
                         });

const Case copy("kv_copy", "the first slots, nothing else touched", [](Run& run) {
  const AttentionShape s = attention_shape(4, 2, 24);
  for (const int32_t count : {1, 15, 16, 17, 63, 64}) {
    const Pages pages(run, 3, s);
    Image want{pages.k(), pages.v()};
    want.copy(s, 0, 2, count);
    Context context = run.context();
    ops::kv_copy(context, pages.get(), 0, 2, count, s);
    run.expect_same_bits("k", pages.k(), want.k);
    run.expect_same_bits("v", pages.v(), want.v);
  }
});

}  // namespace
}  // namespace coppice::test
