#include "cpu/gemm_tile.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

struct RowKernels {
  TileFunction strided[4] = {};  // by log2 of the vectors
  TileFunction unit[4] = {};
  TileFunction masked = nullptr;
};

// Packed tiles are at least half a tile high, so the shorter ones have no form of their own.
template <int kRows>
constexpr RowKernels row_kernels() {
  constexpr int kWidest = tile_vectors(kRows);
  constexpr bool kUnit = 2 * kRows >= kTileRows;
  RowKernels kernels;
  kernels.strided[0] = run_tile<kRows, 1, false, false>;
  kernels.masked = run_tile<kRows, 1, false, true>;
  if constexpr (kWidest >= 2) kernels.strided[1] = run_tile<kRows, 2, false, false>;
  if constexpr (kWidest >= 4) kernels.strided[2] = run_tile<kRows, 4, false, false>;
  if constexpr (kWidest >= 8) kernels.strided[3] = run_tile<kRows, 8, false, false>;
  for (int i = 0; i < 4; ++i) kernels.unit[i] = kernels.strided[i];
  if constexpr (kUnit) kernels.unit[0] = run_tile<kRows, 1, true, false>;
  if constexpr (kUnit && kWidest >= 2) kernels.unit[1] = run_tile<kRows, 2, true, false>;
  if constexpr (kUnit && kWidest >= 4) kernels.unit[2] = run_tile<kRows, 4, true, false>;
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

TileFunction tile_function(int rows, int vectors, bool unit_rows, bool masked_b) {
  const RowKernels& kernels = kTable.rows[rows - 1];
  if (masked_b) return kernels.masked;
  const int log_vectors = vectors == 8 ? 3 : vectors == 4 ? 2 : vectors - 1;
  return unit_rows ? kernels.unit[log_vectors] : kernels.strided[log_vectors];
}

}  // namespace COPPICE_ISA
}  // namespace coppice
