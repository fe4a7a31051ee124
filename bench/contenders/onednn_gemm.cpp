// One product by oneDNN: the parameters in the layout that oneDNN likes best, packed before the clock starts,
// as an engine would keep them. Activations and their gradients stay row-major.
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "timing.h"

using contenders::Product;
using dnnl::memory;

namespace {

using Tag = memory::format_tag;

class Runner {
 public:
  explicit Runner(memory::data_type type) : type_(type) {}

  memory::desc any(memory::dims dims) const { return {dims, type_, Tag::any}; }
  memory::desc plain(memory::dims dims, Tag tag) const { return {dims, type_, tag}; }
  memory::desc out(memory::dims dims, Tag tag) const { return {dims, memory::data_type::f32, tag}; }

  // Random numbers in the layout `wanted`, from row-major ones.
  memory filled(const memory::desc& wanted, memory::dims dims, Tag tag) {
    int64_t count = 1;
    for (const int64_t size : dims) count *= size;
    const std::vector<float> values = contenders::random_values(count);
    memory source({dims, memory::data_type::f32, tag}, engine_);
    std::memcpy(source.get_data_handle(), values.data(), values.size() * sizeof(float));
    memory target(wanted, engine_);
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
    return target;
  }
  memory empty(const memory::desc& desc) { return memory(desc, engine_); }

  void run(const dnnl::primitive& primitive, const std::unordered_map<int, memory>& arguments) {
    primitive.execute(stream_, arguments);
    stream_.wait();
  }
  const dnnl::engine& engine() const { return engine_; }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  memory::data_type type_;
};

void time_product(Runner& runner, const Product& p, const dnnl::primitive& primitive,
                  const std::unordered_map<int, memory>& arguments) {
  const dnnl_version_t* v = dnnl::version();
  const std::string version =
      std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  contenders::time_and_print(p.seconds, version, [&] { runner.run(primitive, arguments); });
}

// out [m, n] = left [m, k] right [k, n]; right is a parameter where `packed`, and then in whatever layout.
void matmul(Runner& runner, const Product& p, int64_t m, int64_t k, int64_t n, Tag left, Tag right,
            bool packed) {
  const memory::desc right_desc = packed ? runner.any({k, n}) : runner.plain({k, n}, right);
  const dnnl::matmul::desc desc(runner.plain({m, k}, left), right_desc, runner.out({m, n}, Tag::ab));
  const dnnl::matmul::primitive_desc chosen(desc, runner.engine());
  const memory a = runner.filled(chosen.src_desc(), {m, k}, left);
  const memory b = runner.filled(chosen.weights_desc(), {k, n}, right);
  const memory c = runner.empty(chosen.dst_desc());
  time_product(runner, p, dnnl::matmul(chosen),
               {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
}

void by_matmul(Runner& runner, const Product& p) {
  if (p.op == "linear") {
    matmul(runner, p, p.rows, p.inner, p.cols, Tag::ab, Tag::ba, true);
  } else if (p.op == "linear_backward_input") {
    matmul(runner, p, p.rows, p.cols, p.inner, Tag::ab, Tag::ab, true);
  } else {
    // dout transposed times inp: neither is a parameter.
    matmul(runner, p, p.cols, p.rows, p.inner, Tag::ba, Tag::ab, false);
  }
}

void by_inner_product(Runner& runner, const Product& p) {
  const memory::desc inp = runner.plain({p.rows, p.inner}, Tag::ab), weight = runner.any({p.cols, p.inner});
  const auto training = dnnl::prop_kind::forward_training;
  const dnnl::inner_product_forward::primitive_desc forward(
      {training, inp, weight, runner.out({p.rows, p.cols}, Tag::ab)}, runner.engine());
  if (p.op == "linear") {
    const memory a = runner.filled(forward.src_desc(), {p.rows, p.inner}, Tag::ab);
    const memory b = runner.filled(forward.weights_desc(), {p.cols, p.inner}, Tag::ab);
    const memory c = runner.empty(forward.dst_desc());
    return time_product(runner, p, dnnl::inner_product_forward(forward),
                        {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
  }
  const memory::desc dout = runner.plain({p.rows, p.cols}, Tag::ab);
  if (p.op == "linear_backward_input") {
    const dnnl::inner_product_backward_data::primitive_desc backward(
        {runner.out({p.rows, p.inner}, Tag::ab), weight, dout}, runner.engine(), forward);
    const memory d = runner.filled(backward.diff_dst_desc(), {p.rows, p.cols}, Tag::ab);
    const memory b = runner.filled(backward.weights_desc(), {p.cols, p.inner}, Tag::ab);
    const memory a = runner.empty(backward.diff_src_desc());
    return time_product(runner, p, dnnl::inner_product_backward_data(backward),
                        {{DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DIFF_SRC, a}});
  }
  const memory::desc dweight({p.cols, p.inner}, memory::data_type::f32, Tag::any);
  const dnnl::inner_product_backward_weights::primitive_desc backward({inp, dweight, dout}, runner.engine(),
                                                                      forward);
  const memory a = runner.filled(backward.src_desc(), {p.rows, p.inner}, Tag::ab);
  const memory d = runner.filled(backward.diff_dst_desc(), {p.rows, p.cols}, Tag::ab);
  const memory b = runner.empty(backward.diff_weights_desc());
  time_product(runner, p, dnnl::inner_product_backward_weights(backward),
               {{DNNL_ARG_SRC, a}, {DNNL_ARG_DIFF_DST, d}, {DNNL_ARG_DIFF_WEIGHTS, b}});
}

}  // namespace

int main(int argc, char** argv) {
  const Product p = contenders::read_product(argc, argv);
  Runner runner(p.dtype == "bf16" ? memory::data_type::bf16 : memory::data_type::f32);
  try {
    if (p.variant == "matmul")
      by_matmul(runner, p);
    else
      by_inner_product(runner, p);
  } catch (const dnnl::error& error) {
    return contenders::not_run(std::string("oneDNN: ") + error.what());
  }
  return 0;
}
