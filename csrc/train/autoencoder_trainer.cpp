#include "train/autoencoder_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/parallel.h"
#include "ops/softmax.h"

namespace fastcf {
namespace {

std::size_t at(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

constexpr std::int64_t kEffectSteps = 8;  // in an epoch

void check_training(const TrainingRows<float>& rows, const AutoencoderTraining& training) {
    const char* caller = "AutoencoderTrainer";
    check_autoencoder(training.network, caller);
    check_optimizer(training.optimizer, caller);
    check(rows.structure.rows < INT32_MAX && rows.structure.cols < INT32_MAX, caller,
          ": rows and columns must be fewer than 2^31");
    check(training.batch_size >= 1, caller, ": batch_size must be positive; got ", training.batch_size);
    check(training.dense_refeeding >= 0, caller, ": dense_refeeding must not be negative; got ",
          training.dense_refeeding);
    check(training.rated_input >= 0 && std::isfinite(training.rated_input), caller,
          ": rated_input must be finite and not negative; got ", training.rated_input);
    check(training.network.loss == NetworkLoss::squared ||
              (training.network.output_activation == Activation::identity && training.dense_refeeding == 0),
          caller,
          ": cost='logistic' and 'multinomial' go with output_activation='identity' and without dense_refeeding");
    check(training.network.loss != NetworkLoss::multinomial || (rows.weights == nullptr && rows.offsets == nullptr),
          caller, ": cost='multinomial' goes without weights and offsets");
    check_rated_output(training.network, training.rated_output, training.dense_refeeding > 0, caller);
    check(
        training.network.output_rate == 1 || !moves_untouched(training.optimizer.kind, training.optimizer.weight_decay),
        caller, ": output_rate goes without optimizers that shrink rows a batch does not touch, which keep one rate");
    check(training.n_negatives >= 0, caller, ": n_negatives must not be negative; got ", training.n_negatives);
    check(training.lowest <= training.highest, caller, ": lowest must not exceed highest; got ", training.lowest,
          " and ", training.highest);
}

}  // namespace

AutoencoderTrainer::AutoencoderTrainer(const TrainingRows<float>& rows, const AutoencoderTraining& training)
    : training_(training) {
    check_training(rows, training);
    AutoencoderConfig& config = training_.network;
    config.n_columns = rows.structure.cols;
    config.rated = training.rated_input > 0;
    training_.n_threads = resolve_threads(training.n_threads);
    network_ = Autoencoder<float>(config, training.optimizer.kind);
    batches_ = RowBatches<float>(rows, training.batch_size, training.rated_input, training.seed);
    if (training.rated_output) {
        network_.centre_outputs(rows.structure, training.optimizer.kind);
        batches_.place_columns();
    }
    optimizer_ = TabulatedOptimizer(training.optimizer);
    decay_ = training.optimizer.weight_decay;
    multinomial_ = config.loss == NetworkLoss::multinomial;
    if (multinomial_) batches_.ask_columns(training.n_negatives);
    const bool all_step = multinomial_ && training.n_negatives == 0;
    shares_ = decay_ > 0 && !all_step && !moves_untouched(training.optimizer.kind, decay_);
    if (shares_) batches_.share_decay(decay_);
    losses_ = DeviceArray<double>::zeros(2);
    held_out_indptr_.resize(at(batches_.n_rows()) + 2);
}

void AutoencoderTrainer::set_parameters(const AutoencoderArrays<float>& from) {
    network_.check_arrays(from, "AutoencoderTrainer.set_parameters");
    network_.upload(from, training_.n_threads);
    steps_ = effect_steps_ = 0;
}

void AutoencoderTrainer::get_parameters(const AutoencoderArrays<float>& to) {
    network_.check_arrays(to, "AutoencoderTrainer.get_parameters");
    settle();
    network_.download(to);
}

void AutoencoderTrainer::settle() {
    network_.flush(rows_optimizer(), steps_, training_.n_threads);
}

// What steps the rows of the ends: their penalties may be in the gradient already.
Optimizer AutoencoderTrainer::rows_optimizer() const {
    Optimizer optimizer = optimizer_;
    if (shares_) optimizer.weight_decay = 0;
    return optimizer;
}

DropoutSeed AutoencoderTrainer::dropout() {
    return {training_.network.dropout > 0, training_.seed, passes_++};
}

double AutoencoderTrainer::epoch(double learning_rate) {
    optimizer_.set_rate(learning_rate, [&] { settle(); });
    batches_.start(epochs_++);
    losses_.clear();
    const bool centred = !network_.centres().empty();
    const std::int64_t distance = (batches_.count() + kEffectSteps - 1) / kEffectSteps;
    network_.centres().forget_sums();  // of an epoch that was interrupted
    collected_ = 0;
    for (std::int64_t b = 0; b < batches_.count(); ++b) {
        if (interrupt_pending()) throw Interrupted();
        const RowBatch<float> batch = batches_.batch(b);
        const double weight = multinomial_ ? static_cast<double>(batch.chosen_rows) : batch.weight;
        if (weight == 0) continue;
        network_.catch_up(rows_optimizer(), steps_, batch.touched, training_.n_threads);
        network_.gradient(batch, 1 / weight, dropout(), losses_.data(), training_.n_threads);
        if (training_.dense_refeeding > 0) {
            settle();  // all columns are asked for: what they are before the step goes in again
            const std::int64_t size = batch.rows * training_.network.n_columns;
            fed_.reserve(size);
            answer_.reserve(size);
            network_.last_dense_outputs(
                {fed_.data(), batch.rows, training_.network.n_columns, training_.network.n_columns},
                training_.n_threads);
        }
        step(learning_rate, batch.touched);
        refeed(batch, learning_rate);
        if (centred && ++collected_ == distance) step_effects(learning_rate);
    }
    if (collected_ > 0) step_effects(learning_rate);
    return (multinomial_ ? 1 : 2) * losses_.to_host().front();
}

void AutoencoderTrainer::step(double learning_rate, VectorView<const std::int32_t> rows) {
    ++steps_;
    network_.step(rows_optimizer(), optimizer_, learning_rate, steps_, rows, training_.n_threads);
}

void AutoencoderTrainer::step_effects(double learning_rate) {
    network_.centres().step(optimizer_, learning_rate, collected_, ++effect_steps_, training_.n_threads);
    collected_ = 0;
}

void AutoencoderTrainer::refeed(const RowBatch<float>& batch, double learning_rate) {
    const std::int64_t n = training_.network.n_columns;
    const double scale = 1 / static_cast<double>(batch.rows * n);
    for (int again = 0; again < training_.dense_refeeding; ++again) {
        settle();
        network_.dense_gradient({fed_.data(), batch.rows, n, n}, {answer_.data(), batch.rows, n, n}, scale, dropout(),
                                losses_.data() + 1, training_.n_threads);
        step(learning_rate, network_.all_rows());
        std::swap(fed_, answer_);
    }
}

double AutoencoderTrainer::penalty() {
    if (decay_ == 0) return 0;
    settle();
    return 0.5 * decay_ * network_.squared_norm(training_.n_threads);
}

void AutoencoderTrainer::set_validation(VectorView<const std::int32_t> rows, VectorView<const std::int32_t> columns,
                                        VectorView<const float> offsets, VectorView<const float> values,
                                        VectorView<const float> weights, float scale) {
    const char* caller = "AutoencoderTrainer.set_validation";
    const std::int64_t n = rows.size, n_rows = batches_.n_rows();
    check(columns.size == n && offsets.size == n && values.size == n, caller,
          ": rows, columns, offsets and values must have equal lengths; got ", n, ", ", columns.size, ", ",
          offsets.size, " and ", values.size);
    check(weights.empty() || weights.size == n, caller, ": weights must have ", n, " entries; got ", weights.size);
    std::vector<std::int64_t> indptr(at(n_rows) + 2);
    for (std::int64_t e = 0; e < n; ++e) {
        check(rows[e] >= -1 && rows[e] < n_rows, caller, ": rows must lie in [-1, ", n_rows, "); got ", rows[e],
              " at entry ", e);
        check(columns[e] >= -1 && columns[e] < training_.network.n_columns, caller, ": columns must lie in [-1, ",
              training_.network.n_columns, "); got ", columns[e], " at entry ", e);
        if (columns[e] >= 0) ++indptr[at(rows[e] < 0 ? n_rows : rows[e]) + 1];
    }
    std::partial_sum(indptr.begin(), indptr.end(), indptr.begin());
    held_out_indptr_ = indptr;
    held_out_columns_.resize(at(indptr.back()));
    held_out_offsets_.resize(at(n));
    held_out_values_.resize(at(n));
    held_out_weights_.resize(at(weights.size));
    std::int64_t unknown = indptr.back();  // no network can say anything about columns that it does not have
    for (std::int64_t e = 0; e < n; ++e) {
        const std::int64_t place = columns[e] < 0 ? unknown++ : indptr[at(rows[e] < 0 ? n_rows : rows[e])]++;
        if (columns[e] >= 0) held_out_columns_[at(place)] = columns[e];
        held_out_offsets_[at(place)] = offsets[e];
        held_out_values_[at(place)] = values[e];
        if (!weights.empty()) held_out_weights_[at(place)] = weights[e];
    }
    held_out_scale_ = scale;
}

template <class Term>
double AutoencoderTrainer::over_held_out(Term&& term) {
    settle();
    constexpr std::int64_t kRows = 1024;
    const std::int64_t n_rows = batches_.n_rows();
    const auto of = [&](std::int64_t e, float output) {
        const double weight = held_out_weights_.empty() ? 1.0 : static_cast<double>(held_out_weights_[at(e)]);
        return weight * term(held_out_offsets_[at(e)] + held_out_scale_ * output, held_out_values_[at(e)]);
    };
    double sum = 0;
    const auto known = static_cast<std::int64_t>(held_out_columns_.size());
    for (std::int64_t begin = 0; begin <= n_rows; begin += kRows) {  // row n_rows stands for those without ratings
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t end = std::min(begin + kRows, n_rows + 1);
        const std::int64_t first = held_out_indptr_[at(begin)], n = held_out_indptr_[at(end)] - first;
        if (n == 0) continue;
        std::vector<std::int64_t> indptr(held_out_indptr_.begin() + begin, held_out_indptr_.begin() + end + 1);
        for (std::int64_t& place : indptr) place -= first;
        const DeviceArray<std::int64_t> places(indptr);
        const DeviceArray<std::int32_t> columns(held_out_columns_.data() + first, n);
        DeviceArray<float> out(n);
        const RowBatch<float> batch = batches_.consecutive(begin, end);
        const auto hidden = network_.hidden(batch, {}, training_.n_threads);
        network_.outputs(hidden, places.data(), columns.data(), n, {}, out.data(), training_.n_threads);
        const HostView<const float> host(out);
        for (std::int64_t e = 0; e < n; ++e) sum += of(first + e, host.data()[e]);
    }
    for (std::int64_t e = known; e < static_cast<std::int64_t>(held_out_values_.size()); ++e) sum += of(e, 0.0f);
    return sum;
}

double AutoencoderTrainer::validation_squared_error() {
    return over_held_out([&](float predicted, float value) {
        const double difference = static_cast<double>(std::clamp(predicted, training_.lowest, training_.highest)) -
                                  static_cast<double>(value);
        return difference * difference;
    });
}

double AutoencoderTrainer::validation_log_loss() {
    return over_held_out([](float z, float label) {
        double slope;
        return logistic_loss<double>(static_cast<double>(z), static_cast<double>(label), &slope);
    });
}

double AutoencoderTrainer::multinomial_cost(VectorView<const std::int32_t> rows, const CsrView& chosen) {
    const char* caller = "AutoencoderTrainer.multinomial_cost";
    const std::int64_t n_rows = batches_.n_rows(), n_columns = training_.network.n_columns;
    check(chosen.rows == rows.size && (chosen.values != nullptr || chosen.nnz() == 0), caller,
          ": there must be a compressed row of strengths for each of ", rows.size, " rows; got ", chosen.rows);
    check(chosen.cols == n_columns, caller, ": n_columns must be ", n_columns, "; got ", chosen.cols);
    for (std::int64_t r = 0; r < rows.size; ++r)
        check(rows[r] >= -1 && rows[r] < n_rows, caller, ": rows must lie in [-1, ", n_rows, "); got ", rows[r],
              " at entry ", r);
    settle();
    const std::int64_t pass = std::clamp<std::int64_t>((1 << 24) / std::max<std::int64_t>(n_columns, 1), 1, 1024);
    DeviceArray<double> sum = DeviceArray<double>::zeros(1);
    for (std::int64_t begin = 0; begin < rows.size; begin += pass) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(pass, rows.size - begin), first = chosen.indptr[begin];
        const std::int64_t entries = chosen.indptr[begin + n] - first;
        if (entries == 0) continue;
        std::vector<std::int32_t> numbers(rows.data + begin, rows.data + begin + n);
        for (std::int32_t& row : numbers) row = row < 0 ? static_cast<std::int32_t>(n_rows) : row;
        std::vector<std::int64_t> places(chosen.indptr + begin, chosen.indptr + begin + n + 1);
        for (std::int64_t& place : places) place -= first;
        const DeviceArray<std::int64_t> indptr(places);
        const DeviceArray<std::int32_t> columns(chosen.indices + first, entries);
        const DeviceArray<float> strengths(chosen.values + first, entries);
        const RowBatch<float> batch = batches_.of({numbers.data(), n});
        fed_.reserve(n * n_columns);
        const MatrixView<float> scores{fed_.data(), n, n_columns, n_columns};
        network_.dense_outputs(network_.hidden(batch, {}, training_.n_threads), scores, training_.n_threads);
        softmax_gradient<float>({indptr.data(), columns.data(), strengths.data(), n, entries}, {}, 1.0, scores,
                                sum.data(), training_.n_threads);
    }
    return sum.to_host().front();
}

void AutoencoderTrainer::save_best() {
    settle();
    network_.save_best(training_.n_threads);
    saved_ = true;
}

void AutoencoderTrainer::restore_best() {
    if (!saved_) throw std::logic_error("AutoencoderTrainer.restore_best: nothing was saved");
    network_.restore_best(training_.n_threads);
    steps_ = effect_steps_ = 0;
}

void AutoencoderTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    fields.counter("epochs", epochs_);
    fields.counter("steps", steps_);
    fields.counter("passes", passes_);
    if (training_.rated_output) fields.counter("effect_steps", effect_steps_);
    optimizer_.list_state(fields);
    network_.list_state(fields);
}

}  // namespace fastcf
