#include "networks/perceptron.h"

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "core/parallel.h"
#include "ops/loss.h"

namespace fastcf {
namespace {

std::vector<DenseLayer> dense_layers(const PerceptronConfig& config, Activation output) {
    std::vector<DenseLayer> layers;
    const std::size_t n = config.layers.size() - 1;
    for (std::size_t l = 0; l < n; ++l)
        layers.push_back({config.layers[l], config.layers[l + 1], static_cast<int>(l), false,
                          l + 1 < n ? config.activation : output, 0.0, config.bias});
    return layers;
}

}  // namespace

void check_perceptron(const PerceptronConfig& config, const char* caller) {
    const std::vector<std::int64_t>& layers = config.layers;
    check(layers.size() >= 2, caller, ": layers must name inputs and outputs; got ", layers.size(), " layers");
    for (const std::int64_t size : layers)
        check(size >= 1 && size <= (1 << 20), caller, ": layers must lie in [1, 2^20]; got ", size);
    const std::size_t outputs = config.levels.empty() ? 1 : config.levels.size();
    check(static_cast<std::size_t>(layers.back()) == outputs, caller, ": there must be ", outputs, " outputs; got ",
          layers.back());
}

PerceptronLayout perceptron_layout(const PerceptronConfig& config) {
    Mlp<float> network(dense_layers(config, Activation::identity), false, OptimizerKind::gradient_descent);
    const std::vector<std::int64_t> offsets = network.offsets();
    const auto half = offsets.begin() + static_cast<std::ptrdiff_t>(offsets.size() / 2);
    PerceptronLayout layout{network.parameters().cols, {offsets.begin(), half}, {}};
    if (config.bias) layout.biases.assign(half, offsets.end());
    return layout;
}

// The last layer computes logits: their loss keeps its digits where h is nearly 0 or 1.
template <class T>
Perceptron<T>::Perceptron(const PerceptronConfig& config, OptimizerKind kind)
    : network_(dense_layers(config, Activation::identity), false, kind),
      levels_(config.levels.begin(), config.levels.end()),
      outputs_(config.layers.back()) {}

template <class T>
double Perceptron<T>::gradient(MatrixView<const T> features, const RatedItems<T>& rated, const std::int32_t* order,
                               std::int64_t n) {
    const std::int64_t inputs = features.cols, k = outputs_;
    x_.reserve(n * inputs);
    y_.reserve(n * k);
    slopes_.reserve(n * k);
    if (rated.weights != nullptr) weights_.reserve(n * k);
    T *const x = x_.data(), *const y = y_.data(), *const w = weights_.data();
    double total = rated.weights == nullptr ? static_cast<double>(n) : 0;
    for (std::int64_t r = 0; r < n; ++r) {
        const std::int32_t entry = order[r];
        std::copy_n(features.row(rated.items[entry]), inputs, x + r * inputs);
        const T rating = rated.ratings[entry];
        if (levels_.empty()) y[r] = rating;
        for (std::size_t level = 0; level < levels_.size(); ++level)
            y[r * k + static_cast<std::int64_t>(level)] = rating == levels_[level] ? T(1) : T(0);
        if (rated.weights == nullptr) continue;
        std::fill_n(w + r * k, k, rated.weights[entry]);
        total += static_cast<double>(rated.weights[entry]);
    }
    const MatrixView<T> in{x, n, inputs, inputs};
    const MatrixView<const T> logits = network_.forward(in, {}, 1);
    double sum = 0;
    loss_gradient<T>(Loss::logistic, {logits.data, n * k}, {y, n * k}, {w, rated.weights == nullptr ? 0 : n * k},
                     1 / total, {slopes_.data(), n * k}, &sum, 1);
    network_.backward({x, n, inputs, inputs}, {slopes_.data(), n, k, k}, 1, false);
    return sum;
}

template class Perceptron<float>;
template class Perceptron<double>;

template <class T>
double perceptron_gradient(const PerceptronConfig& config, double reg, MatrixView<const T> features,
                           VectorView<const std::int32_t> items, VectorView<const T> ratings,
                           VectorView<const T> weights, VectorView<const T> at, VectorView<T> gradient) {
    const char* caller = "perceptron_gradient";
    check_perceptron(config, caller);
    const std::int64_t n = items.size;
    check(features.cols == config.layers.front(), caller, ": features must have ", config.layers.front(),
          " columns; got ", features.cols);
    check(n > 0 && ratings.size == n && (weights.empty() || weights.size == n), caller,
          ": items, ratings and weights must have as many entries, one at least; got ", n, ", ", ratings.size, " and ",
          weights.size);
    for (std::int64_t e = 0; e < n; ++e)
        check(items[e] >= 0 && items[e] < features.rows, caller, ": items must lie in [0, ", features.rows, "); got ",
              items[e], " at entry ", e);
    check(reg >= 0, caller, ": reg must not be negative; got ", reg);
    Perceptron<T> perceptron(config, OptimizerKind::gradient_descent);
    OptimizedRows<T>& row = perceptron.network().parameters();
    check(at.size == row.cols && gradient.size == row.cols, caller, ": parameters and gradient must have ", row.cols,
          " entries; got ", at.size, " and ", gradient.size);
    row.values.upload(at.data);
    std::vector<std::int32_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    double total = static_cast<double>(n);
    if (!weights.empty()) total = std::accumulate(weights.data, weights.data + n, 0.0);
    const double sum = perceptron.gradient(features, {items.data, ratings.data, weights.data}, order.data(), n);
    perceptron.network().gradient().download(gradient.data);
    if (reg == 0) return sum / total;
    const double decay = reg / static_cast<double>(n);
    const PerceptronLayout layout = perceptron_layout(config);
    const std::int64_t n_weights = layout.biases.empty() ? layout.size : layout.biases.front();  // they come first
    penalise<T>({const_cast<T*>(at.data), 1, n_weights, n_weights}, decay, {gradient.data, 1, n_weights, n_weights});
    return sum / total + 0.5 * decay * perceptron.network().squared_norm(1);
}

template double perceptron_gradient<float>(const PerceptronConfig&, double, MatrixView<const float>,
                                           VectorView<const std::int32_t>, VectorView<const float>,
                                           VectorView<const float>, VectorView<const float>, VectorView<float>);
template double perceptron_gradient<double>(const PerceptronConfig&, double, MatrixView<const double>,
                                            VectorView<const std::int32_t>, VectorView<const double>,
                                            VectorView<const double>, VectorView<const double>, VectorView<double>);

namespace {

constexpr std::int64_t kRowsAtOnce = 256;  // whose hidden values stay in the first-level cache

// h of consecutive rows, or of those that items name.
void predict_group(Mlp<float>& network, MatrixView<const float> features, const std::int32_t* items, std::int64_t n,
                   std::vector<float>& buffer, const MatrixView<float>& out) {
    const std::int64_t inputs = features.cols;
    buffer.resize(static_cast<std::size_t>(kRowsAtOnce * inputs));
    for (std::int64_t begin = 0; begin < n; begin += kRowsAtOnce) {
        const std::int64_t rows = std::min(kRowsAtOnce, n - begin);
        for (std::int64_t r = 0; r < rows; ++r) {
            const std::int64_t item = items == nullptr ? begin + r : items[begin + r];
            float* const to = buffer.data() + r * inputs;
            if (item < 0)
                std::fill_n(to, inputs, 0.0f);
            else
                std::copy_n(features.row(item), inputs, to);
        }
        const MatrixView<const float> values = network.forward({buffer.data(), rows, inputs, inputs}, {}, 1);
        std::copy_n(values.data, rows * values.cols, out.row(begin));
    }
}

}  // namespace

void perceptron_predict(const PerceptronConfig& config, MatrixView<const float> parameters,
                        MatrixView<const float> features, const PairGroups& pairs, MatrixView<float> out,
                        int n_threads) {
    const char* caller = "perceptron_predict";
    check_perceptron(config, caller);
    const std::int64_t groups = pairs.networks.size, outputs = config.layers.back();
    const bool all = pairs.indptr.empty();
    check(features.cols == config.layers.front(), caller, ": features must have ", config.layers.front(),
          " columns; got ", features.cols);
    const std::int64_t size = perceptron_layout(config).size;
    check(parameters.cols == size, caller, ": parameters must have ", size, " columns; got ", parameters.cols);
    for (std::int64_t g = 0; g < groups; ++g)
        check(pairs.networks[g] >= 0 && pairs.networks[g] < parameters.rows, caller, ": networks must lie in [0, ",
              parameters.rows, "); got ", pairs.networks[g], " at entry ", g);
    check(all || pairs.indptr.size == groups + 1, caller, ": indptr must have ", groups + 1, " entries; got ",
          pairs.indptr.size);
    if (!all) check_indptr({pairs.indptr.data, nullptr, nullptr, groups, features.rows}, pairs.items.size, caller);
    for (std::int64_t e = 0; e < pairs.items.size; ++e)
        check(pairs.items[e] >= -1 && pairs.items[e] < features.rows, caller, ": items must lie in [-1, ",
              features.rows, "); got ", pairs.items[e], " at entry ", e);
    const std::int64_t n = all ? groups * features.rows : pairs.items.size;
    check(out.rows == n && out.cols == outputs, caller, ": the result must have shape (", n, ", ", outputs, "); got (",
          out.rows, ", ", out.cols, ")");

    struct Worker {
        Mlp<float> network;
        std::vector<float> buffer;
    };
    const int threads = threads_for(n * size, n_threads);
    std::vector<Worker> workers(static_cast<std::size_t>(threads));
    parallel_for(groups, threads, [&](std::int64_t g, int thread) {
        Worker& worker = workers[static_cast<std::size_t>(thread)];
        if (worker.network.n_layers() == 0)
            worker.network =
                Mlp<float>(dense_layers(config, Activation::sigmoid), false, OptimizerKind::gradient_descent);
        worker.network.parameters().values.upload(parameters.row(pairs.networks[g]));
        const std::int64_t begin = all ? g * features.rows : pairs.indptr[g];
        const std::int64_t rows = all ? features.rows : pairs.indptr[g + 1] - begin;
        predict_group(worker.network, features, all ? nullptr : pairs.items.data + begin, rows, worker.buffer,
                      {out.row(begin), rows, outputs, outputs});
    });
}

}  // namespace fastcf
