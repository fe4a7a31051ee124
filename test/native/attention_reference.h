// Attention over a forest of segments in plain double, and the forests that its cases use.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace coppice::test {

// Segments and page tables as the engine lays them out: a child shares its parent's full pages, and where it
// begins inside a block it has a page of its own for that block.
class Forest {
 public:
  // Returns the index of the new segment, which continues `parent` (-1: a new tree).
  int32_t add(int32_t length, int32_t parent = -1) {
    Segment segment;
    segment.token_begin = rows_;
    segment.length = length;
    segment.parent = parent;
    segment.page_begin = static_cast<int32_t>(page_table_.size());
    int32_t shared_pages = 0, shared_begin = 0;
    if (parent >= 0) {
      const Segment& above = segments_[static_cast<size_t>(parent)];
      segment.position_begin = above.position_begin + above.length;
      shared_pages = segment.position_begin / static_cast<int32_t>(kKeyBlock);
      shared_begin = above.page_begin;
    }
    const int32_t pages = (segment.position_begin + length - 1) / static_cast<int32_t>(kKeyBlock) + 1;
    for (int32_t block = 0; block < pages; ++block) {
      const bool shared = block < shared_pages;
      page_table_.push_back(shared ? page_table_[static_cast<size_t>(shared_begin + block)] : page_count_++);
    }
    rows_ += length;
    segments_.push_back(segment);
    return static_cast<int32_t>(segments_.size()) - 1;
  }

  int32_t rows() const { return rows_; }
  int32_t page_count() const { return page_count_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const std::vector<int32_t>& page_table() const { return page_table_; }
  AttentionBatch batch() const {
    return {segments_.data(), static_cast<int32_t>(segments_.size()), page_table_.data()};
  }

  // Rows of the packed batch on the path that ends with row `row` of the batch's segment `segment`, positions
  // in order.
  std::vector<int32_t> path_rows(int32_t segment, int32_t row) const {
    std::vector<int32_t> rows;
    append_path(segment, row - segments_[static_cast<size_t>(segment)].token_begin + 1, &rows);
    return rows;
  }

 private:
  void append_path(int32_t segment, int32_t count, std::vector<int32_t>* rows) const {
    const Segment& here = segments_[static_cast<size_t>(segment)];
    if (here.parent >= 0) append_path(here.parent, segments_[static_cast<size_t>(here.parent)].length, rows);
    for (int32_t i = 0; i < count; ++i) rows->push_back(here.token_begin + i);
  }

  std::vector<Segment> segments_;
  std::vector<int32_t> page_table_;
  int32_t rows_ = 0;
  int32_t page_count_ = 0;
};

struct AttentionReference {
  std::vector<double> out, lse, dq, dk, dv;
};

// Everything contiguous: q, dout [T, NH * HD], k, v [T, NKV * HD].
template <typename T>
AttentionReference attention_reference(const Forest& forest, const AttentionShape& shape,
                                       const std::vector<T>& q, const std::vector<T>& k,
                                       const std::vector<T>& v, const std::vector<T>& dout) {
  const size_t hd = static_cast<size_t>(shape.head_dim), nh = static_cast<size_t>(shape.num_heads);
  const size_t nkv = static_cast<size_t>(shape.num_kv_heads), group = nh / nkv;
  const size_t total = static_cast<size_t>(forest.rows());
  AttentionReference result;
  result.out.assign(total * nh * hd, 0.0);
  result.lse.assign(total * nh, 0.0);
  result.dq.assign(total * nh * hd, 0.0);
  result.dk.assign(total * nkv * hd, 0.0);
  result.dv.assign(total * nkv * hd, 0.0);
  for (size_t s = 0; s < forest.segments().size(); ++s) {
    const Segment& segment = forest.segments()[s];
    for (int32_t row = segment.token_begin; row < segment.token_begin + segment.length; ++row) {
      const std::vector<int32_t> path = forest.path_rows(static_cast<int32_t>(s), row);
      for (size_t h = 0; h < nh; ++h) {
        const size_t at = (static_cast<size_t>(row) * nh + h) * hd;
        const auto key_at = [&](size_t j) { return (static_cast<size_t>(path[j]) * nkv + h / group) * hd; };
        std::vector<double> p(path.size(), -INFINITY);
        double maximum = -INFINITY, sum = 0.0, d = 0.0;
        const size_t window = shape.window == 0 ? path.size() : static_cast<size_t>(shape.window);
        const size_t first = path.size() - std::min(window, path.size());
        for (size_t j = first; j < path.size(); ++j) {
          double dot = 0.0;
          for (size_t e = 0; e < hd; ++e) dot += double(q[at + e]) * double(k[key_at(j) + e]);
          p[j] = dot * double(shape.scale);
          maximum = std::fmax(maximum, p[j]);
        }
        for (double& x : p) sum += x = std::exp(x - maximum);
        result.lse[static_cast<size_t>(row) * nh + h] = maximum + std::log(sum);
        for (double& x : p) x /= sum;
        for (size_t j = 0; j < path.size(); ++j) {
          for (size_t e = 0; e < hd; ++e) result.out[at + e] += p[j] * double(v[key_at(j) + e]);
        }
        for (size_t e = 0; e < hd; ++e) d += double(dout[at + e]) * result.out[at + e];
        for (size_t j = 0; j < path.size(); ++j) {
          double dp = 0.0;
          for (size_t e = 0; e < hd; ++e) dp += double(dout[at + e]) * double(v[key_at(j) + e]);
          const double ds = double(shape.scale) * p[j] * (dp - d);
          for (size_t e = 0; e < hd; ++e) {
            result.dq[at + e] += ds * double(k[key_at(j) + e]);
            result.dk[key_at(j) + e] += ds * double(q[at + e]);
            result.dv[key_at(j) + e] += p[j] * double(dout[at + e]);
          }
        }
      }
    }
  }
  return result;
}

}  // namespace coppice::test
