#include "train/trainer.h"

#include <limits>
#include <utility>

#include "core/check.h"

namespace fastcf {

void check_training(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                    const TrainerConfig& config, const char* caller) {
    check(config.n_factors > 0, caller, ": n_factors must be positive; got ", config.n_factors);
    check(ratings.values != nullptr || ratings.nnz() == 0, caller, ": ratings must have values");
    check(ratings.rows < INT32_MAX && ratings.cols < INT32_MAX, caller, ": users and items must be fewer than 2^31");
    check(weights.empty() || weights.size == ratings.nnz(), caller, ": weights must have ", ratings.nnz(),
          " entries; got ", weights.size);
    check(item_offset.empty() || item_offset.size == ratings.cols, caller, ": item_offset must have ", ratings.cols,
          " entries; got ", item_offset.size);
    check(config.lowest <= config.highest, caller, ": lowest must not exceed highest; got ", config.lowest, " and ",
          config.highest);
}

void HeldOut::set(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                  VectorView<const float> values, VectorView<const float> weights, const Rows& user_rows,
                  const Rows& item_rows, const char* caller) {
    check(users.size == values.size && items.size == values.size, caller,
          ": users, items and values must have equal lengths; got ", users.size, ", ", items.size, " and ",
          values.size);
    check(weights.empty() || weights.size == values.size, caller, ": weights must have ", values.size, " entries; got ",
          weights.size);
    const auto placed = [&](const VectorView<const std::int32_t>& given, const Rows& rows, const char* name) {
        std::vector<std::int32_t> result(given.data, given.data + given.size);
        for (std::int64_t e = 0; e < given.size; ++e) {
            check(given[e] >= -1 && given[e] < rows.n, caller, ": ", name, " must lie in [-1, ", rows.n, "); got ",
                  given[e], " at entry ", e);
            if (rows.position != nullptr && given[e] >= 0)
                result[static_cast<std::size_t>(e)] = rows.position[given[e]];
        }
        return DeviceArray<std::int32_t>(result);
    };
    DeviceArray<std::int32_t> placed_users = placed(users, user_rows, "users");
    items_ = placed(items, item_rows, "items");
    users_ = std::move(placed_users);
    values_ = DeviceArray<float>(values.data, values.size);
    weights_ = DeviceArray<float>(weights.data, weights.size);
}

double HeldOut::squared_error(const FactorModel& model, float lowest, float highest, int n_threads) const {
    const std::int64_t n = values_.size();
    return evaluate_pairs(model, {users_.data(), n}, {items_.data(), n}, {values_.data(), n},
                          {weights_.data(), weights_.size()}, n_threads, lowest, highest)
        .squared;
}

double HeldOut::squared_error(const FactorModel& model, int n_threads) const {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    return squared_error(model, -infinity, infinity, n_threads);
}

double HeldOut::log_loss(const FactorModel& model, int n_threads) const {
    const std::int64_t n = values_.size();
    return log_loss_pairs(model, {users_.data(), n}, {items_.data(), n}, {values_.data(), n},
                          {weights_.data(), weights_.size()}, n_threads);
}

}  // namespace fastcf
