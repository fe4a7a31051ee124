#include "cpu/gemm_tile.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// The kernels for tiles of one height and one kind of operands.
struct RowKernels {
  TileFunction whole[4] = {};  // by log2 of the vectors
  TileFunction masked = nullptr;
};

template <int kRows, bool kTransposed, TileRight kRight>
constexpr RowKernels row_kernels() {
  constexpr int kWidest = tile_vectors(kRows);
  RowKernels kernels;
  kernels.masked = run_tile<kRows, 1, kTransposed, kRight, true>;
  kernels.whole[0] = run_tile<kRows, 1, kTransposed, kRight, false>;
  if constexpr (kWidest >= 2) kernels.whole[1] = run_tile<kRows, 2, kTransposed, kRight, false>;
  if constexpr (kWidest >= 4) kernels.whole[2] = run_tile<kRows, 4, kTransposed, kRight, false>;
  if constexpr (kWidest >= 8) kernels.whole[3] = run_tile<kRows, 8, kTransposed, kRight, false>;
  return kernels;
}

struct Table {
  RowKernels kernels[kTallestTile][2][3];  // rows - 1, transposed, right operand
};

template <int kRows>
constexpr void fill(Table& table) {
  auto& kernels = table.kernels[kRows - 1];
  kernels[0][0] = row_kernels<kRows, false, TileRight::kRows>();
  kernels[0][1] = row_kernels<kRows, false, TileRight::kPanels>();
  kernels[0][2] = row_kernels<kRows, false, TileRight::kWordPanels>();
  kernels[1][0] = row_kernels<kRows, true, TileRight::kRows>();
  kernels[1][1] = row_kernels<kRows, true, TileRight::kPanels>();
  kernels[1][2] = row_kernels<kRows, true, TileRight::kWordPanels>();
  if constexpr (kRows > 1) fill<kRows - 1>(table);
}

constexpr Table make_table() {
  Table table;
  fill<kTallestTile>(table);
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

TileFunction tile_function(int rows, int vectors, TileOperands operands, bool masked_b) {
  const RowKernels& kernels = kTable.kernels[rows - 1][operands.transposed][static_cast<int>(operands.right)];
  if (masked_b) return kernels.masked;
  return kernels.whole[vectors == 8 ? 3 : vectors == 4 ? 2 : vectors - 1];
}

}  // namespace COPPICE_ISA
}  // namespace coppice
