// One product by OpenBLAS, whose operands are row-major as they are.
#include <cblas.h>

#include "timing.h"

extern "C" char* openblas_get_config(void);

int main(int argc, char** argv) {
  const contenders::Product p = contenders::read_product(argc, argv);
  if (p.dtype != "f32") return contenders::not_run("no " + p.dtype + " product with results in f32");
  const std::vector<float> inp = contenders::random_values(p.rows * p.inner),
                           weight = contenders::random_values(p.cols * p.inner);
  const std::vector<float> dout = contenders::random_values(p.rows * p.cols);
  std::vector<float> out(static_cast<size_t>(p.rows * p.cols)), dinp(inp.size()), dweight(weight.size());
  const blasint rows = static_cast<blasint>(p.rows), cols = static_cast<blasint>(p.cols),
                inner = static_cast<blasint>(p.inner);
  const auto run = [&] {
    if (p.op == "linear") {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, cols, inner, 1, inp.data(), inner,
                  weight.data(), inner, 0, out.data(), cols);
    } else if (p.op == "linear_backward_input") {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, inner, cols, 1, dout.data(), cols,
                  weight.data(), inner, 0, dinp.data(), inner);
    } else {
      cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, cols, inner, rows, 1, dout.data(), cols,
                  inp.data(), inner, 0, dweight.data(), inner);
    }
  };
  // "OpenBLAS 0.3.21 ...": the number is what is wanted.
  const std::string config = openblas_get_config();
  const size_t begin = config.find(' ') + 1;
  contenders::time_and_print(p.seconds, config.substr(begin, config.find(' ', begin) - begin), run);
  return 0;
}
