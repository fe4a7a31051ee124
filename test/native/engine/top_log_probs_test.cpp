// The largest log-probs of a distribution and those of given tokens: the bits that scoring gives each token
// by itself, in order, however rows are cut and however many threads there are; and what is refused.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "expect.h"
#include "random_model.h"

using namespace coppice;

namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

struct Rows {
  std::vector<int32_t> prompt_tokens, prompt_offsets = {0}, completion_tokens, completion_offsets = {0};
  std::vector<float> temperature;

  void add(const std::vector<int32_t>& prompt, const std::vector<int32_t>& completion, float t) {
    prompt_tokens.insert(prompt_tokens.end(), prompt.begin(), prompt.end());
    prompt_offsets.push_back(static_cast<int32_t>(prompt_tokens.size()));
    completion_tokens.insert(completion_tokens.end(), completion.begin(), completion.end());
    completion_offsets.push_back(static_cast<int32_t>(completion_tokens.size()));
    temperature.push_back(t);
  }
  RolloutRows view() const {
    return {static_cast<int64_t>(temperature.size()),
            prompt_tokens.data(),
            prompt_offsets.data(),
            completion_tokens.data(),
            completion_offsets.data(),
            temperature.data()};
  }
  std::vector<float> scores(Engine& engine) const {
    std::vector<float> lp(completion_tokens.size());
    engine.score(view(), lp.data(), nullptr, 500, nullptr);
    return lp;
  }
};

std::vector<int32_t> tokens_of(Random& random, int32_t vocab, int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens) token = static_cast<int32_t>(between(random, 0, vocab - 1));
  return tokens;
}

struct Found {
  std::vector<int32_t> top_ids;
  std::vector<float> top_lp, ids_lp;
};

Found find(Engine& engine, const Rows& rows, const std::vector<int32_t>& places, int32_t top,
           const std::vector<int32_t>& ids, int64_t token_budget) {
  const size_t most = places.size() * static_cast<size_t>(std::max(top, 0));
  Found found{std::vector<int32_t>(most), std::vector<float>(most), std::vector<float>(ids.size())};
  const TopLogProbsInput input{
      rows.view(), places.data(), static_cast<int64_t>(places.size()),
      top,         ids.data(),    places.empty() ? 0 : static_cast<int32_t>(ids.size() / places.size()),
  };
  engine.top_log_probs(input, {found.top_ids.data(), found.top_lp.data(), found.ids_lp.data()}, token_budget,
                       nullptr);
  return found;
}

// One distribution, every token of the vocabulary scored by itself behind the same context.
void agrees_with_scores(uint64_t seed, DType dtype) {
  const std::string setting = ", seed " + std::to_string(seed) + " " + dtype_name(dtype);
  Random random(seed);
  const ModelConfig config = random_config(random);
  const auto engine = Engine::create(config, {"cpu", "", static_cast<int>(between(random, 1, 2))}, dtype);
  fill_parameters(*engine, seed);
  const int32_t vocab = config.vocab_size;
  const float temperature = pick(random, {1.0f, 0.7f, 1.9f});
  const std::vector<int32_t> prompt = tokens_of(random, vocab, between(random, 1, 90));
  Rows each, one;
  for (int32_t token = 0; token < vocab; ++token) each.add(prompt, {token}, temperature);
  one.add(prompt, tokens_of(random, vocab, 1), temperature);
  const std::vector<float> expected = each.scores(*engine);

  std::vector<int32_t> every(static_cast<size_t>(vocab));
  std::iota(every.begin(), every.end(), 0);
  const Found found = find(*engine, one, {0}, vocab, every, 100000);
  expect(same_bits(found.ids_lp, expected), "log-probs are not those of score" + setting);
  std::stable_sort(every.begin(), every.end(), [&](int32_t a, int32_t b) {
    return expected[static_cast<size_t>(a)] > expected[static_cast<size_t>(b)];
  });
  expect(found.top_ids == every, "not in falling order" + setting);
  for (size_t k = 0; k < every.size(); ++k) {
    const auto token = static_cast<size_t>(every[k]);
    if (found.top_lp[k] == expected[token]) continue;
    expect(false, "a log-prob in the order is another" + setting);
    break;
  }
  double mass = 0;
  for (const float lp : expected) mass += std::exp(static_cast<double>(lp));
  expect(std::fabs(mass - 1) < 1e-4, "probabilities do not sum to 1" + setting);
}

// Places here and there among many rows.
void does_not_depend_on_cuts(uint64_t seed, DType dtype) {
  const std::string setting = ", seed " + std::to_string(seed) + " " + dtype_name(dtype);
  Random random(seed);
  const ModelConfig config = random_config(random);
  Rows rows;
  for (int64_t groups = between(random, 1, 6); groups > 0; --groups) {
    const std::vector<int32_t> prompt = tokens_of(random, config.vocab_size, between(random, 1, 100));
    const float temperature = pick(random, {1.0f, 0.6f});
    for (int64_t samples = between(random, 1, 4); samples > 0; --samples)
      rows.add(prompt, tokens_of(random, config.vocab_size, between(random, 0, 70)), temperature);
  }
  std::vector<int32_t> places, targets;
  for (size_t t = 0; t < rows.completion_tokens.size(); ++t) {
    if (random() % 3 != 0) continue;
    places.push_back(static_cast<int32_t>(t));
    targets.push_back(rows.completion_tokens[t]);
  }
  Found first;
  for (const int threads : {1, 2}) {
    const auto engine = Engine::create(config, {"cpu", "", threads}, dtype);
    fill_parameters(*engine, seed);
    for (const int64_t budget : {1, 150, 100000}) {
      const Found found = find(*engine, rows, places, 4, targets, budget);
      if (first.top_ids.empty()) first = found;
      expect(found.top_ids == first.top_ids && same_bits(found.top_lp, first.top_lp),
             "depends on budget or threads" + setting);
      std::vector<float> expected;
      const std::vector<float> scores = rows.scores(*engine);
      for (const int32_t place : places) expected.push_back(scores[static_cast<size_t>(place)]);
      expect(same_bits(found.ids_lp, expected), "a token drawn has another log-prob than score's" + setting);
    }
  }
}

void refuses(const char* words, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    expect(std::strstr(error.what(), words) != nullptr,
           std::string("refused by other words: ") + error.what());
    return;
  }
  expect(false, std::string("not refused: ") + words);
}

void refuses_what_is_out_of_range() {
  Random random(5);
  ModelConfig config = random_config(random);
  const auto engine = Engine::create(config, {"cpu", "", 1});
  fill_parameters(*engine, 5);
  Rows rows;
  rows.add({1, 2}, {3, 4, 5}, 1.0f);
  refuses("places[0]: expected an index from 0 to 2", [&] { find(*engine, rows, {3}, 1, {}, 100); });
  refuses("places[0]: expected an index from 0", [&] { find(*engine, rows, {-1}, 1, {}, 100); });
  refuses("places[1]: expected an index from 2", [&] { find(*engine, rows, {1, 1}, 1, {}, 100); });
  refuses("top: expected a number", [&] { find(*engine, rows, {1}, config.vocab_size + 1, {}, 100); });
  refuses("top: expected a number", [&] { find(*engine, rows, {1}, -1, {}, 100); });
  refuses("ids[1]: expected a token", [&] { find(*engine, rows, {0, 1}, 0, {0, config.vocab_size}, 100); });
  expect(find(*engine, rows, {}, 3, {}, 100).top_ids.empty(), "something of no place");

  std::vector<float> values(static_cast<size_t>(config.vocab_size) * static_cast<size_t>(config.hidden_size));
  engine->read_tensor("model.embed_tokens.weight", values.data());
  values[2 * static_cast<size_t>(config.hidden_size)] = std::numeric_limits<float>::quiet_NaN();
  engine->write_tensor("model.embed_tokens.weight", values.data());
  refuses("places[0]: the logits of completion token 1 are not finite",
          [&] { find(*engine, rows, {1}, 2, {}, 100); });
}

// What is read of one engine and written to another makes the same step of both.
void moments_can_be_moved() {
  Random random(9);
  const ModelConfig config = random_config(random);
  const auto from = Engine::create(config, {"cpu", "", 1}), to = Engine::create(config, {"cpu", "", 1});
  fill_parameters(*from, 9);
  const std::string first = from->layout().tensors.front().name;
  refuses("there are no moments yet", [&] { from->read_moments(first, nullptr); });
  Rows rows;
  rows.add({1, 2}, {3, 4, 5, 6}, 1.0f);
  const std::vector<float> advantage(4, -1.0f), norm(4, 0.25f);
  UpdateInput update;
  update.rows = rows.view();
  update.advantage = advantage.data();
  update.norm = norm.data();
  update.optimizer.adamw.learning_rate = 1e-3;
  from->update(update, nullptr);
  from->update(update, nullptr);
  std::vector<float> values;
  for (const TensorSpec& tensor : from->layout().tensors) {
    values.resize(2 * static_cast<size_t>(tensor.elements()));
    from->read_tensor(tensor.name, values.data());
    to->write_tensor(tensor.name, values.data());
    from->read_moments(tensor.name, values.data());
    to->write_moments(tensor.name, values.data(), from->optimizer_step());
  }
  from->update(update, nullptr);
  to->update(update, nullptr);
  expect(to->optimizer_step() == 3, "the step was not taken over");
  for (const TensorSpec& tensor : from->layout().tensors) {
    std::vector<float> a(static_cast<size_t>(tensor.elements())), b = a;
    from->read_tensor(tensor.name, a.data());
    to->read_tensor(tensor.name, b.data());
    expect(same_bits(a, b), "the step differs in " + tensor.name);
  }
}

}  // namespace

int main() {
  try {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      for (uint64_t seed = 1; seed <= 6; ++seed) agrees_with_scores(seed, dtype);
      for (uint64_t seed = 1; seed <= 6; ++seed) does_not_depend_on_cuts(100 + seed, dtype);
    }
    refuses_what_is_out_of_range();
    moments_can_be_moved();
  } catch (const std::exception& error) {
    expect(false, error.what());
  }
  std::printf("%s top log-probs: %d failed\n", failures == 0 ? "ok  " : "FAIL", failures);
  return failures == 0 ? 0 : 1;
}
