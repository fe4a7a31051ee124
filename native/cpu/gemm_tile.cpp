#include "cpu/gemm_tile.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

struct RowKernels {
  TileFunction strided[4] = {};  // by log2 of the vectors
  TileFunction packed[4] = {};
  TileFunction unit[4] = {};
  TileFunction masked = nullptr;
};

// Packed tiles are at least half a tile high, so the shorter ones have no form of their own.
template <int kRows>
constexpr RowKernels row_kernels() {
  constexpr int kWidest = tile_vectors(kRows);
  constexpr bool kPackable = 2 * kRows >= kTileRows;
  RowKernels kernels;
  kernels.strided[0] = run_tile<kRows, 1, Rows::kStrided, false>;
  kernels.masked = run_tile<kRows, 1, Rows::kStrided, true>;
  if constexpr (kWidest >= 2) kernels.strided[1] = run_tile<kRows, 2, Rows::kStrided, false>;
  if constexpr (kWidest >= 4) kernels.strided[2] = run_tile<kRows, 4, Rows::kStrided, false>;
  if constexpr (kWidest >= 8) kernels.strided[3] = run_tile<kRows, 8, Rows::kStrided, false>;
  for (int i = 0; i < 4; ++i) kernels.unit[i] = kernels.packed[i] = kernels.strided[i];
  if constexpr (kPackable) {
    kernels.packed[0] = run_tile<kRows, 1, Rows::kPacked, false>;
    kernels.unit[0] = run_tile<kRows, 1, Rows::kUnit, false>;
  }
  if constexpr (kPackable && kWidest >= 2) {
    kernels.packed[1] = run_tile<kRows, 2, Rows::kPacked, false>;
    kernels.unit[1] = run_tile<kRows, 2, Rows::kUnit, false>;
  }
  if constexpr (kPackable && kWidest >= 4) {
    kernels.packed[2] = run_tile<kRows, 4, Rows::kPacked, false>;
    kernels.unit[2] = run_tile<kRows, 4, Rows::kUnit, false>;
  }
  return kernels;
}

struct Table {
  RowKernels rows[kTileRows];
};

template <int kRows>
constexpr void fill(Table& table) {
  table.rows[kRows - 1] = row_kernels<kRows>();
  if constexpr (kRows > 1) fill<kRows - 1>(table);
}

constexpr Table make_table() {
  Table table;
  fill<kTileRows>(table);
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

TileFunction tile_function(int rows, int vectors, Rows rows_of_a, bool masked_b) {
  const RowKernels& kernels = kTable.rows[rows - 1];
  if (masked_b) return kernels.masked;
  const int log_vectors = vectors == 8 ? 3 : vectors == 4 ? 2 : vectors - 1;
  switch (rows_of_a) {
    case Rows::kPacked:
      return kernels.packed[log_vectors];
    case Rows::kUnit:
      return kernels.unit[log_vectors];
    case Rows::kStrided:
      break;
  }
  return kernels.strided[log_vectors];
}

}  // namespace COPPICE_ISA
}  // namespace coppice
