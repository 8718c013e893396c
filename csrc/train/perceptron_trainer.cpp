#include "train/perceptron_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "core/check.h"
#include "core/parallel.h"
#include "core/rng.h"

namespace fastcf {
namespace {

// Random streams of a user.
constexpr std::uint64_t kWeightStream = 0x77656967, kOrderStream = 0x6f726465;
constexpr std::int64_t kUsersPerTask = 4;  // asking for Ctrl-C takes longer than a step

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

}  // namespace

PerceptronTrainer::PerceptronTrainer(const CsrView& ratings, VectorView<const float> weights,
                                     MatrixView<const float> features, VectorView<const std::uint64_t> keys,
                                     const PerceptronTraining& training)
    : training_(training), n_items_(features.rows) {
    const char* caller = "PerceptronTrainer";
    const PerceptronConfig& config = training.network;
    check_perceptron(config, caller);
    check_optimizer(training.optimizer, caller);
    check(ratings.values != nullptr || ratings.nnz() == 0, caller, ": ratings must have values");
    check(features.cols == config.layers.front(), caller, ": features must have ", config.layers.front(),
          " columns; got ", features.cols);
    check(ratings.cols == features.rows, caller, ": features must have ", ratings.cols, " rows; got ", features.rows);
    check(keys.size == ratings.rows, caller, ": keys must have ", ratings.rows, " entries; got ", keys.size);
    check(weights.empty() || weights.size == ratings.nnz(), caller, ": weights must have ", ratings.nnz(),
          " entries; got ", weights.size);
    check(training.batch_size >= 1, caller, ": batch_size must be positive; got ", training.batch_size);
    check(training.reg >= 0, caller, ": reg must not be negative; got ", training.reg);
    indptr_.push_back(0);
    for (std::int64_t u = 0; u < ratings.rows; ++u) {
        for (std::int64_t e = ratings.indptr[u]; e < ratings.indptr[u + 1]; ++e) {
            const float rating = ratings.values[e];
            check(!config.levels.empty() || (rating >= 0 && rating <= 1), caller,
                  ": ratings must lie in [0, 1] for one output; got ", rating, " at entry ", e);
            if (!weights.empty() && !(weights[e] > 0)) continue;
            items_.push_back(ratings.indices[e]);
            ratings_.push_back(rating);
            if (!weights.empty()) weights_.push_back(weights[e]);
        }
        indptr_.push_back(static_cast<std::int64_t>(items_.size()));
        check(count(u) <= INT32_MAX, caller, ": a user may have at most 2^31 - 1 ratings; got ", count(u));
        keys_.push_back(random_key(training.seed, keys[u]));
    }
    features_.resize(at(features.rows * features.cols));
    for (std::int64_t i = 0; i < features.rows; ++i)
        std::copy_n(features.row(i), features.cols, features_.data() + i * features.cols);
    // Long rows first, so that no thread is left with one at the end.
    longest_first_.resize(at(ratings.rows));
    std::iota(longest_first_.begin(), longest_first_.end(), std::int64_t{0});
    std::stable_sort(longest_first_.begin(), longest_first_.end(),
                     [&](std::int64_t a, std::int64_t b) { return count(a) > count(b); });
    layout_ = perceptron_layout(config);
    networks_ = OptimizedRows<float>(ratings.rows, layout_.size, training.optimizer.kind);
    Optimizer& optimizer = training_.optimizer;
    powers_ = tabulated_powers(optimizer.decay);
    second_powers_ = tabulated_powers(optimizer.second_decay);
    optimizer.powers = {powers_.data(), kPowers};
    optimizer.second_powers = {second_powers_.data(), kPowers};
    training_.n_threads = threads_for(indptr_.back() * layout_.size, training.n_threads);
    workers_.resize(at(training_.n_threads));
}

void PerceptronTrainer::draw_parameters(VectorView<const float> low, VectorView<const float> high) {
    const auto n_layers = static_cast<std::int64_t>(layout_.weights.size());
    check(low.size == n_layers && high.size == n_layers, "PerceptronTrainer.draw_parameters: low and high must have ",
          n_layers, " entries; got ", low.size, " and ", high.size);
    networks_.values.clear();
    networks_.forget();
    parallel_chunks(networks_.rows, kUsersPerTask, training_.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t u = begin; u < end; ++u) draw(u, low, high);
    });
}

void PerceptronTrainer::draw(std::int64_t user, VectorView<const float> low, VectorView<const float> high) {
    float* const parameters = networks_.values.data() + user * layout_.size;
    for (std::int64_t l = 0; l < low.size; ++l) {
        Rng random(keys_[at(user)], kWeightStream + static_cast<std::uint64_t>(l));
        float* const weights = parameters + layout_.weights[at(l)];
        const double from = static_cast<double>(low[l]), width = static_cast<double>(high[l]) - from;
        for (std::int64_t w = 0; w < training_.network.layers[at(l)] * training_.network.layers[at(l) + 1]; ++w)
            weights[w] = static_cast<float>(from + width * random.uniform());
    }
    const std::int64_t n = count(user);
    if (n == 0 || layout_.biases.empty()) return;
    for (std::int64_t k = 0; k < n_outputs(); ++k) {
        double ones = 0, total = 0;
        for (std::int64_t e = indptr_[at(user)]; e < indptr_[at(user) + 1]; ++e) {
            const double weight = weights_.empty() ? 1 : static_cast<double>(weights_[at(e)]);
            const float rating = ratings_[at(e)];
            ones += weight * (training_.network.levels.empty() ? static_cast<double>(rating)
                                                               : rating == training_.network.levels[at(k)]);
            total += weight;
        }
        const double share = ones / total * static_cast<double>(n), rest = static_cast<double>(n) - share;
        parameters[layout_.biases.back() + k] = static_cast<float>(std::log((share + 0.5) / (rest + 0.5)));
    }
}

void PerceptronTrainer::set_parameters(MatrixView<float> from) {
    check(from.rows == networks_.rows && from.cols == layout_.size,
          "PerceptronTrainer.set_parameters: parameters must have shape (", networks_.rows, ", ", layout_.size,
          "); got (", from.rows, ", ", from.cols, ")");
    networks_.values.upload(from.data);
    networks_.forget();
}

void PerceptronTrainer::get_parameters(MatrixView<float> to) const {
    check(to.rows == networks_.rows && to.cols == layout_.size,
          "PerceptronTrainer.get_parameters: parameters must have shape (", networks_.rows, ", ", layout_.size,
          "); got (", to.rows, ", ", to.cols, ")");
    networks_.values.download(to.data);
}

MatrixView<const float> PerceptronTrainer::features() const {
    const std::int64_t cols = training_.network.layers.front();
    return {features_.data(), n_items_, cols, cols};
}

PerceptronEpoch PerceptronTrainer::epoch(double learning_rate) {
    std::vector<PerceptronEpoch> by_user(at(networks_.rows));
    const std::uint64_t epoch = epochs_++;
    parallel_chunks(networks_.rows, kUsersPerTask, training_.n_threads,
                    [&](std::int64_t begin, std::int64_t end, int thread) {
                        Worker& worker = workers_[at(thread)];
                        if (worker.perceptron.network().n_layers() == 0)
                            worker.perceptron = Perceptron<float>(training_.network, training_.optimizer.kind);
                        for (std::int64_t place = begin; place < end; ++place) {
                            const std::int64_t user = longest_first_[at(place)], n = count(user);
                            if (n == 0) continue;
                            worker.order.resize(at(n));
                            std::iota(worker.order.begin(), worker.order.end(), 0);
                            shuffle(worker.order.data(), n, Rng(keys_[at(user)], kOrderStream + epoch));
                            by_user[at(user)] = train(user, learning_rate, worker);
                        }
                    });
    PerceptronEpoch all;
    double users = 0;
    for (std::int64_t u = 0; u < networks_.rows; ++u) {
        all.cost += by_user[at(u)].cost;
        all.loss += by_user[at(u)].loss;
        users += count(u) > 0 ? 1 : 0;
    }
    double total = static_cast<double>(indptr_.back());
    if (!weights_.empty()) total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    return users == 0 ? PerceptronEpoch{} : PerceptronEpoch{all.cost / users, all.loss / total};
}

// The user's cost, and their cross-entropies' sum.
PerceptronEpoch PerceptronTrainer::train(std::int64_t user, double learning_rate, Worker& worker) {
    Mlp<float>& network = worker.perceptron.network();
    network.parameters().take_row(0, networks_, user);
    const std::int64_t n = count(user), first = indptr_[at(user)];
    const RatedItems<float> rated{items_.data() + first, ratings_.data() + first,
                                  weights_.empty() ? nullptr : weights_.data() + first};
    double total = static_cast<double>(n);
    if (rated.weights != nullptr) {
        total = 0;
        for (std::int64_t e = 0; e < n; ++e) total += static_cast<double>(rated.weights[e]);
    }
    Optimizer optimizer = training_.optimizer;
    optimizer.weight_decay = training_.reg / static_cast<double>(n);
    std::int64_t& steps = networks_.row_steps.data()[user];
    double loss = 0;
    for (std::int64_t begin = 0; begin < n; begin += training_.batch_size) {
        const std::int64_t size = std::min(training_.batch_size, n - begin);
        loss += worker.perceptron.gradient(features(), rated, worker.order.data() + begin, size);
        network.step(optimizer, learning_rate, ++steps, 1);
    }
    networks_.take_row(user, network.parameters(), 0);
    return {loss / total + 0.5 * optimizer.weight_decay * network.squared_norm(1), loss};
}

void PerceptronTrainer::predict(const PairGroups& pairs, MatrixView<float> out) const {
    perceptron_predict(training_.network, {networks_.values.data(), networks_.rows, layout_.size, layout_.size},
                       features(), pairs, out, training_.n_threads);
}

void PerceptronTrainer::save_best() {
    networks_.save_best(training_.n_threads);
    saved_ = true;
}

void PerceptronTrainer::restore_best() {
    if (!saved_) throw std::logic_error("PerceptronTrainer.restore_best: nothing was saved");
    networks_.restore_best(training_.n_threads);
}

void PerceptronTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    fields.counter("epochs", epochs_);
    networks_.list_state(fields, "networks", "");  // each counts its own steps
}

}  // namespace fastcf
