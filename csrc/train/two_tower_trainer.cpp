#include "train/two_tower_trainer.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/parallel.h"

namespace fastcf {

TwoTowerTrainer::TwoTowerTrainer(const CsrView& ratings, VectorView<const float> weights,
                                 MatrixView<const float> offsets, const Features<float>& users,
                                 const Features<float>& items, const TwoTowerTraining& training)
    : training_(training),
      optimizer_(training.optimizer),
      network_(training.network, users.counts(), items.counts(), training.optimizer.kind, "TwoTowerTrainer"),
      users_(users),
      items_(items) {
    const char* caller = "TwoTowerTrainer";
    check_optimizer(training.optimizer, caller);
    check(ratings.values != nullptr || ratings.nnz() == 0, caller, ": ratings must have values");
    check(ratings.rows <= users_.n_rows() && ratings.cols <= items_.n_rows(), caller,
          ": all users and items of the ratings (", ratings.rows, " and ", ratings.cols, ") must have features; got ",
          users_.n_rows(), " and ", items_.n_rows());
    check(weights.empty() || weights.size == ratings.nnz(), caller, ": weights must have ", ratings.nnz(),
          " entries; got ", weights.size);
    const bool choices = training.network.cost == TowerCost::softmax;
    check(offsets.rows == (choices ? 2 : 0) && (!choices || offsets.cols == ratings.cols), caller,
          ": offsets must have shape (2, ", ratings.cols, ") for the softmax cost, else none; got (", offsets.rows,
          ", ", offsets.cols, ")");
    check(training.batch_size >= 1, caller, ": batch_size must be positive; got ", training.batch_size);
    check(ratings.nnz() <= UINT32_MAX, caller, ": ratings must be fewer than 2^32; got ", ratings.nnz());
    check(training.lowest <= training.highest, caller, ": lowest must not exceed highest; got ", training.lowest,
          " and ", training.highest);
    training_.n_threads = resolve_threads(training.n_threads);
    batches_ = Batches(ratings, weights, training.batch_size, training.seed);
    if (!choices) return;
    n_offsets_ = offsets.cols;
    for (std::int64_t kind = 0; kind < 2; ++kind)
        offsets_.insert(offsets_.end(), offsets.row(kind), offsets.row(kind) + n_offsets_);
    block_.add(offsets_part_, std::min({training.batch_size, ratings.nnz(), ratings.cols}));
    block_.allocate();
}

void TwoTowerTrainer::set_parameters(const TwoTowerArrays<float>& from) {
    const char* caller = "TwoTowerTrainer.set_parameters";
    network_.user().check_arrays(from.user, caller);
    network_.item().check_arrays(from.item, caller);
    network_.user().upload(from.user);
    network_.item().upload(from.item);
    steps_ = 0;
}

void TwoTowerTrainer::get_parameters(const TwoTowerArrays<float>& to) {
    const char* caller = "TwoTowerTrainer.get_parameters";
    network_.user().check_arrays(to.user, caller);
    network_.item().check_arrays(to.item, caller);
    settle();
    network_.user().download(to.user);
    network_.item().download(to.item);
}

void TwoTowerTrainer::settle() {
    network_.for_each([&](Tower<float>& tower) { tower.flush(optimizer_, steps_, training_.n_threads); });
}

VectorView<const float> TwoTowerTrainer::offsets_of(const Batches::Batch& batch) {
    if (n_offsets_ == 0) return {};
    const std::int64_t n = batch.items.rows.size;
    const float* const from = offsets_.data() + (batch.size < training_.batch_size ? n_offsets_ : 0);
    float* const to = block_.host(offsets_part_);
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[batch.items.host_rows[i]];
    block_.send();
    return {block_.device(offsets_part_), n};
}

double TwoTowerTrainer::epoch(double learning_rate) {
    const int n_threads = training_.n_threads;
    optimizer_.set_rate(learning_rate, [&] { settle(); });
    batches_.start(epochs_++, n_threads);
    // Nothing waits for the device before the last batch: the host plans the next one while it works.
    const std::int64_t n = batches_.count();
    costs_.reserve(2 * n);
    std::vector<double> sizes;
    for (std::int64_t b = 0; b < n; ++b) {
        if (interrupt_pending()) throw Interrupted();
        const Batches::Batch batch = batches_.batch(b);
        const auto take = [&](FeatureRows<float>& features, const Batches::Side& side) {
            return features.take(side.rows, side.host_rows, n_threads);
        };
        const TwoTowerBatch<float> fed{take(users_, batch.users), take(items_, batch.items), batch.ratings,
                                       offsets_of(batch)};
        const VectorView<const std::int32_t> touched[] = {fed.users.sparse.touched, fed.items.sparse.touched};
        network_.user().catch_up(optimizer_, steps_, touched[0], n_threads);
        network_.item().catch_up(optimizer_, steps_, touched[1], n_threads);
        network_.gradient(fed, training_.seed, passes_++, costs_.data() + 2 * b, n_threads);
        ++steps_;
        network_.user().step(optimizer_, learning_rate, steps_, touched[0], n_threads);
        network_.item().step(optimizer_, learning_rate, steps_, touched[1], n_threads);
        sizes.push_back(static_cast<double>(batch.size));
    }
    const std::vector<double> costs = costs_.to_host();
    double loss = 0;
    for (std::size_t b = 0; b < sizes.size(); ++b) loss += costs[2 * b] * sizes[b];
    return loss;
}

double TwoTowerTrainer::penalty() {
    const double decay = training_.optimizer.weight_decay;
    if (decay == 0) return 0;
    settle();
    return 0.5 * decay * network_.squared_norm(training_.n_threads);
}

void TwoTowerTrainer::set_validation(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                     VectorView<const float> values, VectorView<const float> weights) {
    const char* caller = "TwoTowerTrainer.set_validation";
    // Only rows that are held out go through the towers: where each of them stands among these.
    const auto placed = [&](const VectorView<const std::int32_t>& given, std::int64_t n, HeldOutRows& side) {
        std::vector<std::int32_t> position(static_cast<std::size_t>(n), -1);
        for (std::int64_t e = 0; e < given.size; ++e)
            if (given[e] >= 0 && given[e] < n) position[static_cast<std::size_t>(given[e])] = 0;
        side.rows.clear();
        for (std::int64_t r = 0; r < n; ++r) {
            std::int32_t& place = position[static_cast<std::size_t>(r)];
            if (place < 0) continue;
            place = static_cast<std::int32_t>(side.rows.size());
            side.rows.push_back(static_cast<std::int32_t>(r));
        }
        side.device_rows = DeviceArray<std::int32_t>(side.rows);
        return position;
    };
    const auto user_places = placed(users, users_.n_rows(), held_out_users_);
    const auto item_places = placed(items, items_.n_rows(), held_out_items_);
    held_out_.set(users, items, values, weights, {users_.n_rows(), user_places.data()},
                  {items_.n_rows(), item_places.data()}, caller);
}

FactorModel TwoTowerTrainer::held_out_model() {
    settle();
    const auto vectors = [&](Tower<float>& tower, FeatureRows<float>& features, HeldOutRows& side) {
        const auto n = static_cast<std::int64_t>(side.rows.size());
        side.vectors.reserve(n * tower.size());
        tower.vectors(features, {side.device_rows.data(), n}, side.rows.data(), side.vectors.data(),
                      training_.n_threads);
        return MatrixView<const float>{side.vectors.data(), n, tower.size(), tower.size()};
    };
    FactorModel model;
    model.user_factors = vectors(network_.user(), users_, held_out_users_);
    model.item_factors = vectors(network_.item(), items_, held_out_items_);
    model.global_offset = static_cast<float>(training_.network.centre);
    return model;
}

double TwoTowerTrainer::validation_squared_error() {
    return held_out_.squared_error(held_out_model(), training_.lowest, training_.highest, training_.n_threads);
}

double TwoTowerTrainer::validation_log_loss() {
    return held_out_.log_loss(held_out_model(), training_.n_threads);
}

void TwoTowerTrainer::save_best() {
    settle();
    network_.for_each([&](Tower<float>& tower) { tower.save_best(training_.n_threads); });
    saved_ = true;
}

void TwoTowerTrainer::restore_best() {
    if (!saved_) throw std::logic_error("TwoTowerTrainer.restore_best: nothing was saved");
    network_.for_each([&](Tower<float>& tower) { tower.restore_best(training_.n_threads); });
    steps_ = 0;
}

void TwoTowerTrainer::list_state(StateFields& fields) {
    fields.saved(saved_);
    fields.counter("epochs", epochs_);
    fields.counter("steps", steps_);
    fields.counter("passes", passes_);
    optimizer_.list_state(fields);
    network_.user().list_state(fields, "user");
    network_.item().list_state(fields, "item");
}

}  // namespace fastcf
