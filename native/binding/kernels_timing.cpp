// The methods of KernelsObject that measure: single ops, and what the machine can do at best.
#include <algorithm>
#include <string>
#include <utility>

#include "bench/time_op.h"
#include "binding/kernel_arguments.h"
#include "binding/kernels_object.h"
#include "binding/options.h"

namespace coppice::binding {
namespace {

bench::OpShape read_shape(const Napi::Value& value) {
  const Napi::Object given = read_object(value, "shape");
  const Napi::Array names = given.GetPropertyNames();
  bench::OpShape shape;
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = read_string(names.Get(i), "shape");
    shape[name] = read_size(given.Get(name), ("shape." + name).c_str());
  }
  return shape;
}

struct Timed {
  bench::TimedOp op;
  bench::Floor floor;
  bool has_floor = false;
};

Napi::Object to_js(Napi::Env env, const Timed& timed) {
  Napi::Float64Array seconds = Napi::Float64Array::New(env, timed.op.seconds.size());
  std::copy(timed.op.seconds.begin(), timed.op.seconds.end(), seconds.Data());
  Napi::Object result = Napi::Object::New(env);
  result.Set("seconds", seconds);
  result.Set("flops", timed.op.flops);
  result.Set("bytes", timed.op.bytes);
  result.Set("floor", env.Null());
  if (!timed.has_floor) return result;
  Napi::Object floor = Napi::Object::New(env);
  floor.Set("seconds", timed.floor.seconds);
  floor.Set("peakOf", timed.floor.peak_of);
  floor.Set("peak", timed.floor.peak);
  result.Set("floor", floor);
  return result;
}

}  // namespace

Napi::Value benchmark_ops(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Napi::Env env = info.Env();
    const auto list = [env](const auto& values) {
      Napi::Array array = Napi::Array::New(env, values.size());
      for (size_t i = 0; i < values.size(); ++i) array.Set(static_cast<uint32_t>(i), values[i]);
      return array;
    };
    Napi::Array ops = Napi::Array::New(env);
    for (const bench::OpCase& op_case : bench::op_cases()) {
      Napi::Array shapes = Napi::Array::New(env);
      for (const std::vector<int64_t>& shape : op_case.shapes) {
        shapes.Set(shapes.Length(), list(std::vector<double>(shape.begin(), shape.end())));
      }
      Napi::Object op = Napi::Object::New(env);
      op.Set("op", op_case.op);
      op.Set("sizes", list(op_case.sizes));
      op.Set("shapes", shapes);
      ops.Set(ops.Length(), op);
    }
    return ops;
  });
}

// time(op, shape, { dtype, warmup, repeats, seconds, withFloor })
Napi::Value KernelsObject::time(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string op = read_string(info[0], "op");
    const bench::OpShape shape = read_shape(info[1]);
    const DType dtype = read_compute_dtype(info[2]);
    const Napi::Object given = read_object(info[2], "options");
    bench::TimingPlan plan;
    plan.warmup = read_integer(given.Get("warmup"), "warmup", 0, kMaxSize);
    plan.repeats = read_integer(given.Get("repeats"), "repeats", 1, kMaxSafeInteger);
    plan.seconds = read_number(given.Get("seconds"), "seconds");
    const auto timed = std::make_shared<Timed>();
    timed->has_floor = read_bool(given.Get("withFloor"), "withFloor");
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), op, shape, dtype, plan, timed](StopFlag& stop) {
          timed->op = bench::time_op(worker->backend(), op, shape, dtype, plan, stop);
          timed->has_floor = timed->has_floor && !stop.load(std::memory_order_relaxed);
          if (timed->has_floor) timed->floor = bench::floor_of(worker->peaks(), timed->op);
        },
        [timed](Napi::Env env) -> Napi::Value { return to_js(env, *timed); }));
  });
}

// peaks(workingSetBytes or undefined)
Napi::Value KernelsObject::peaks(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const int64_t bytes = info[0].IsUndefined()
                              ? kMaxSafeInteger
                              : read_integer(info[0], "workingSetBytes", 1, kMaxSafeInteger);
    struct Rates {
      double gflops, gflops_bf16, product_gflops, gbytes, gbytes_moved;
      bool has_bf16;
    };
    const auto rates = std::make_shared<Rates>();
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), bytes, rates](StopFlag&) {
          bench::MachinePeaks& peaks = worker->peaks();
          *rates = {peaks.gflops(DType::kF32),
                    peaks.gflops(DType::kBF16),
                    peaks.product_gflops(),
                    peaks.gbytes(static_cast<size_t>(bytes)),
                    peaks.gbytes_moved(static_cast<size_t>(bytes)),
                    peaks.has_bf16()};
        },
        [rates](Napi::Env env) -> Napi::Value {
          Napi::Object result = Napi::Object::New(env);
          result.Set("gflops", rates->gflops);
          result.Set("gflopsBf16", rates->gflops_bf16);
          result.Set("productGflops", rates->product_gflops);
          result.Set("hasBf16", rates->has_bf16);
          result.Set("gbytes", rates->gbytes);
          result.Set("gbytesMoved", rates->gbytes_moved);
          return result;
        }));
  });
}

}  // namespace coppice::binding
