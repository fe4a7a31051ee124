// The fused head: log-probs, entropies and their gradients. Items go by in chunks: forward by itself and
// backward by itself hold the logits of a tile and of a span of the vocabulary, both together a chunk's over
// the whole vocabulary.
#include "base/error.h"
#include "cpu/copy_rows.h"
#include "cpu/cpu_backend.h"
#include "cpu/head_chunk.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// The caller's arrays may have changed since they were checked, and these index memory.
void check_items(const char* op, const HeadItems& items, int64_t rows, int64_t vocab) {
  for (int64_t i = 0; i < items.count; ++i) {
    if (items.row_index[i] < 0 || items.row_index[i] >= rows) {
      fail(ErrorCode::kInvalidArgument, "%s: row_index[%lld]: expected a row below %lld, received %d", op,
           static_cast<long long>(i), static_cast<long long>(rows), items.row_index[i]);
    }
    if (items.target[i] < 0 || items.target[i] >= vocab) {
      fail(ErrorCode::kInvalidArgument, "%s: target[%lld]: expected a token below %lld, received %d", op,
           static_cast<long long>(i), static_cast<long long>(vocab), items.target[i]);
    }
  }
}

void clear(const ThreadTeam& team, const Tensor& tensor) {
  team.parallel_for(tensor.rows,
                    [&](int64_t t, int) { clear_row(tensor.f32() + t * tensor.stride, tensor.cols); });
}

// The chunks of an op's items, in order, and the scratch that they share.
class HeadChunks {
 public:
  HeadChunks(const ThreadTeam& team, const Context& context, HeadPass pass, const Parameter& weight,
             const HeadItems& items)
      : team_(team),
        shape_(head_shape(items.count, weight.rows)),
        scratch_(head_scratch(context.scratch.data, pass, shape_, weight.cols, weight.dtype, team.threads())),
        weight_(weight),
        items_(items) {}

  int64_t largest() const { return shape_.chunk; }
  // body(chunk, its first item, the item behind its last)
  template <typename Body>
  void for_each(const Tensor& hidden, const Body& body) const {
    for (int64_t begin = 0; begin < items_.count; begin += shape_.chunk) {
      const int64_t count = smaller(shape_.chunk, items_.count - begin);
      const HeadChunk chunk(team_, shape_, scratch_, weight_, items_, begin, count);
      chunk.gather(hidden);
      body(chunk, begin, begin + count);
    }
  }

 private:
  const ThreadTeam& team_;
  const HeadShape shape_;
  const HeadScratch scratch_;
  const Parameter& weight_;
  const HeadItems& items_;
};

}  // namespace

size_t CpuBackend::head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const {
  const HeadShape shape = head_shape(items, vocab);
  const size_t forward = head_scratch(nullptr, HeadPass::kForward, shape, hidden, dtype, threads()).bytes;
  const size_t backward = head_scratch(nullptr, HeadPass::kBackward, shape, hidden, dtype, threads()).bytes;
  return forward > backward ? forward : backward;
}

size_t CpuBackend::head_forward_backward_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden,
                                                       DType dtype) const {
  const size_t apart = head_scratch_bytes(items, vocab, hidden, dtype);
  const size_t both =
      head_scratch(nullptr, HeadPass::kBoth, head_shape(items, vocab), hidden, dtype, threads()).bytes;
  return both > apart ? both : apart;
}

void CpuBackend::head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                              const Parameter& weight, const HeadItems& items) {
  check_items("head_forward", items, hidden.rows, weight.rows);
  HeadChunks(team(), context, HeadPass::kForward, weight, items)
      .for_each(hidden, [&](const HeadChunk& chunk, int64_t, int64_t) { chunk.log_probs(lp, entropy, lse); });
}

void CpuBackend::head_backward(Context& context, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                               const Parameter& weight, const HeadItems& items, const float* lse,
                               const float* entropy, const float* g_lp, const float* g_entropy) {
  check_items("head_backward", items, hidden.rows, weight.rows);
  clear(team(), dhidden);
  HeadChunks(team(), context, HeadPass::kBackward, weight, items)
      .for_each(hidden, [&](const HeadChunk& chunk, int64_t, int64_t) {
        chunk.differentiate(dhidden, dweight, {lse, entropy, g_lp, g_entropy});
      });
}

void CpuBackend::head_forward_backward(Context& context, const Tensor& dhidden, float* dweight, float* lp,
                                       float* entropy, float* lse, const Tensor& hidden,
                                       const Parameter& weight, const HeadItems& items, const float* g_lp,
                                       const float* g_entropy, HeadLoss& loss) {
  const HeadChunks chunks(team(), context, HeadPass::kBoth, weight, items);
  if (loss.needs_all_items() && items.count > chunks.largest()) {
    Backend::head_forward_backward(context, dhidden, dweight, lp, entropy, lse, hidden, weight, items, g_lp,
                                   g_entropy, loss);
    return;
  }
  check_items("head_forward_backward", items, hidden.rows, weight.rows);
  clear(team(), dhidden);
  chunks.for_each(hidden, [&](const HeadChunk& chunk, int64_t begin, int64_t end) {
    chunk.log_probs(lp, entropy, lse);
    loss.differentiate(begin, end);
    chunk.differentiate(dhidden, dweight, {lse, entropy, g_lp, g_entropy});
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
