// Draws one token a row. Logits, log-sum-exp and log-prob are the head's own code (head_logits.h), so that
// what is recorded here is what head_forward computes for the same row later.
#include "cpu/cpu_backend.h"
#include "cpu/head_logits.h"
#include "cpu/left_operand.h"
#include "cpu/sample_select.h"
#include "cpu/scratch.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

constexpr int64_t kLogitFloats = 1 << 22;  // 16 MiB of logits, or one row
constexpr int64_t kMostTileRows = kPackRows / 2;

struct SampleScratch {
  int64_t chunk;   // rows
  int64_t stride;  // of a row of logits
  int64_t blocks;
  float* logits;               // [chunk][stride]
  BlockSums* sums;             // [chunk][blocks]
  float* words;                // in bf16: hidden rows in words, [chunk][ceil(hidden / 2)]
  float* inverse_temperature;  // [chunk]
  double* block_mass;          // [blocks] for each thread
  size_t bytes;
};

SampleScratch sample_scratch(void* data, int64_t rows, int64_t vocab, int64_t hidden, DType dtype,
                             int threads) {
  ScratchCutter cutter(data);
  SampleScratch scratch;
  scratch.stride = round_up(vocab, kLanes);
  scratch.blocks = vocab_blocks(vocab);
  scratch.chunk = smaller(larger(kLogitFloats / scratch.stride, 1), rows);
  scratch.logits = cutter.take(scratch.chunk * scratch.stride);
  scratch.sums = cutter.take<BlockSums>(scratch.chunk * scratch.blocks);
  scratch.words = cutter.take(left_floats(dtype, scratch.chunk, hidden));
  scratch.inverse_temperature = cutter.take(scratch.chunk);
  scratch.block_mass = cutter.take<double>(round_up(scratch.blocks, 8) * threads);
  scratch.bytes = cutter.used();
  return scratch;
}

struct Drawn {
  int32_t token;
  float lp;
  float sampler_lp;
  float entropy;
};

bool cuts(const SampleParams& params) {
  return params.top_k > 0 || params.top_p < 1.0f || params.min_p > 0.0f;
}

// y [vocab] scaled logits; block_mass [blocks] is this thread's own.
Drawn draw(const float* y, int64_t vocab, const BlockSums* block_sums, int64_t blocks, const SampleKey& key,
           const SampleParams& params, double* block_mass) {
  const RowSums sums = merge_blocks(block_sums, blocks);
  // An infinite or NaN logit makes lse NaN: there is no distribution to draw from, and the caller sees it in
  // the log-prob.
  if (!(sums.lse - sums.lse == 0.0f)) return {0, __builtin_nanf(""), __builtin_nanf(""), __builtin_nanf("")};
  if (params.temperature == 0.0f) {
    const int32_t token = first_largest(y, vocab, sums.largest);
    return {token, log_prob(y[token], sums.lse), 0.0f, sums.entropy};
  }
  Cut cut;
  int64_t kept = vocab;
  if (cuts(params)) {
    cut = cut_distribution(y, vocab, sums.largest, params);
    kept = kept_block_masses(block_mass, y, vocab, sums.largest, cut);
  } else {
    for (int64_t b = 0; b < blocks; ++b) {
      block_mass[b] = static_cast<double>(block_sums[b].sum) *
                      static_cast<double>(exp(block_sums[b].largest - sums.largest));
    }
  }
  double total = 0.0;
  for (int64_t b = 0; b < blocks; ++b) total += block_mass[b];
  const int32_t token = token_at(block_mass, y, vocab, sums.largest, cut, uniform(key) * total);
  const float lp = log_prob(y[token], sums.lse);
  const float kept_lse = sums.largest + log(static_cast<float>(total));
  return {token, lp, kept == vocab ? lp : log_prob(y[token], kept_lse), sums.entropy};
}

}  // namespace

size_t CpuBackend::sample_scratch_bytes(int64_t rows, int64_t vocab, int64_t hidden, DType dtype) const {
  return sample_scratch(nullptr, rows, vocab, hidden, dtype, threads()).bytes;
}

void CpuBackend::sample(Context& context, int32_t* token, float* lp, float* sampler_lp, float* entropy,
                        const Tensor& hidden, const Parameter& weight, const SampleKey* keys,
                        const SampleParams* params) {
  const int64_t vocab = weight.rows;
  const SampleScratch scratch =
      sample_scratch(context.scratch.data, hidden.rows, vocab, hidden.cols, weight.dtype, threads());
  for (int64_t begin = 0; begin < hidden.rows; begin += scratch.chunk) {
    const int64_t count = smaller(scratch.chunk, hidden.rows - begin);
    for (int64_t r = 0; r < count; ++r) {
      const float temperature = params[begin + r].temperature;
      scratch.inverse_temperature[r] = temperature == 0.0f ? 1.0f : 1.0f / temperature;
    }
    const Left rows_in = left_operand(team(), hidden.row_range(begin, count), weight.dtype, scratch.words);
    const int64_t tile_rows = logit_tile_rows(count, scratch.blocks, threads(), kMostTileRows);
    const int64_t tiles = ceil_div(count, tile_rows);
    team().parallel_for(scratch.blocks * tiles, [&](int64_t task, int) {
      const int64_t block = task / tiles, first = task % tiles * tile_rows,
                    rows = smaller(tile_rows, count - first);
      float* tile = scratch.logits + first * scratch.stride + block * kVocabBlock;
      block_logits(tile, scratch.stride, rows_in.from(first, 0), rows, weight, block,
                   scratch.inverse_temperature + first);
      for (int64_t r = 0; r < rows; ++r) {
        scratch.sums[(first + r) * scratch.blocks + block] =
            reduce_block(tile + r * scratch.stride, vocab_block_cols(vocab, block));
      }
    });
    team().parallel_for(count, [&](int64_t r, int thread) {
      const int64_t row = begin + r;
      const Drawn drawn =
          draw(scratch.logits + r * scratch.stride, vocab, scratch.sums + r * scratch.blocks, scratch.blocks,
               keys[row], params[row], scratch.block_mass + thread * round_up(scratch.blocks, 8));
      token[row] = drawn.token;
      lp[row] = drawn.lp;
      sampler_lp[row] = drawn.sampler_lp;
      if (entropy != nullptr) entropy[row] = drawn.entropy;
    });
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
