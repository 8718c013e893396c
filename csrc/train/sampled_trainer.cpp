#include "train/sampled_trainer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/mix64.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "ops/choice_cost.h"
#include "ops/penalty.h"
#include "train/sgd_tiles.h"

namespace fastcf {
namespace {

enum Stream : std::uint64_t { kDraws = 4, kMatching = 5 };  // those before: sgd_tiles.cpp

constexpr std::int64_t kFilterBits = 64;  // of a choice, at the most; a quarter of that at least where words are shared

}  // namespace

SampledTrainer::SampledTrainer(const CsrView& choices, VectorView<const std::int64_t> item_counts,
                               const SampledConfig& config)
    : config_(config) {
    const char* caller = "SampledTrainer";
    check(config.n_factors > 0, caller, ": n_factors must be positive; got ", config.n_factors);
    check(choices.rows < INT32_MAX && choices.cols < INT32_MAX, caller,
          ": users and items must be fewer than 2^31 - 1");
    check(config.n_drawn >= 1 && config.n_drawn <= kMostDrawn, caller, ": n_drawn must lie in [1, ", kMostDrawn,
          "]; got ", config.n_drawn);
    check(item_counts.empty() || item_counts.size == choices.cols, caller, ": item_counts must have ", choices.cols,
          " entries; got ", item_counts.size);
    for (std::int64_t i = 0; i < item_counts.size; ++i)
        check(item_counts[i] >= 0, caller, ": item_counts must not be negative; got ", item_counts[i], " at entry ", i);
    check(std::isfinite(config.popularity_power) && config.popularity_power >= 0, caller,
          ": popularity_power must be at least 0; got ", config.popularity_power);
    config_.n_threads = resolve_threads(config.n_threads);
    state_.stride = row_stride(config.n_factors);
    SgdGrid grid = sampled_grid(choices.nnz(), choices.rows, choices.cols, state_.stride, config.n_drawn);
    if (config.item_blocks > 0) grid.item_blocks = config.item_blocks;
    if (config.fixed_items) grid = SgdGrid{};
    tiles_ = build_sgd_tiles(choices, nullptr, nullptr, 0.0f, grid, config.seed, config_.n_threads);
    state_.user_factors = DeviceArray<float>::zeros(tiles_.n_users * state_.stride);
    state_.item_factors = DeviceArray<float>::zeros(tiles_.n_items * state_.stride);
    state_.item_bias = DeviceArray<float>::zeros(tiles_.n_items);
    std::vector<std::int64_t> user_counts(static_cast<std::size_t>(tiles_.n_users));
    for (std::int64_t u = 0; u < tiles_.n_users; ++u) user_counts[static_cast<std::size_t>(u)] = choices.row_size(u);
    std::vector<std::int64_t> counts(static_cast<std::size_t>(tiles_.n_items));
    for (std::int64_t e = 0; e < choices.nnz(); ++e) ++counts[static_cast<std::size_t>(choices.indices[e])];
    user_counts = in_order(user_counts.data(), tiles_.user_position);
    counts = in_order(counts.data(), tiles_.item_position);
    const auto pays = [](const std::vector<std::int64_t>& of, double reg, double exponent, DeviceArray<float>& penalty,
                         DeviceArray<float>& rate) {
        PenaltyShares both = penalty_shares(of, reg, exponent);
        penalty = std::move(both.of_row);
        rate = std::move(both.of_rating);
    };
    pays(user_counts, config.reg, config.reg_exponent, user_penalty_, state_.user_rate);
    pays(counts, config.reg, config.reg_exponent, item_penalty_, state_.item_rate);
    if (!item_counts.empty()) counts = in_order(item_counts.data, tiles_.item_position);
    build_draws(counts);
    build_filters(choices);
}

void SampledTrainer::build_draws(const std::vector<std::int64_t>& item_counts) {
    items_.n_drawn = config_.n_drawn;
    std::vector<double> powers(item_counts.size());
    for (std::size_t i = 0; i < powers.size(); ++i)
        powers[i] = item_counts[i] == 0 ? 0.0 : std::pow(static_cast<double>(item_counts[i]), config_.popularity_power);
    const double total = std::accumulate(powers.begin(), powers.end(), 0.0);
    const bool softmax = config_.cost == SampledCost::softmax;
    std::vector<AliasSlot> slots(powers.size());
    std::vector<float> correction(softmax ? powers.size() : 0);
    for (int b = 0; b < tiles_.item_blocks(); ++b) {
        const std::int64_t begin = tiles_.item_bounds[static_cast<std::size_t>(b)];
        const std::int64_t n = tiles_.item_bounds[static_cast<std::size_t>(b) + 1] - begin;
        const double sum = std::accumulate(powers.begin() + begin, powers.begin() + begin + n, 0.0);
        if (sum == 0) {  // nothing of it counts
            const std::vector<double> alike(static_cast<std::size_t>(n), 1.0);
            build_alias(alike.data(), n, 1.0 / static_cast<double>(n), slots.data() + begin);
            items_.share.push_back(0.0f);
            continue;
        }
        build_alias(powers.data() + begin, n, 1.0 / sum, slots.data() + begin);
        items_.share.push_back(softmax ? 1.0f : static_cast<float>(tiles_.item_blocks() * sum / total));
        for (std::int64_t i = begin; softmax && i < begin + n; ++i)
            if (powers[static_cast<std::size_t>(i)] > 0)
                correction[static_cast<std::size_t>(i)] = static_cast<float>(
                    std::log(tiles_.item_blocks() * sum / (config_.n_drawn * powers[static_cast<std::size_t>(i)])));
    }
    items_.slots = DeviceArray<AliasSlot>(slots);
    items_.correction = DeviceArray<float>(correction);
    items_.block_share = DeviceArray<float>(items_.share);
}

void SampledTrainer::build_filters(const CsrView& choices) {
    const std::vector<std::int32_t> user_rows = rows_in_order(tiles_.user_position);
    const auto n_users = static_cast<std::size_t>(tiles_.n_users);
    std::vector<std::int64_t> offsets(n_users + 1), begins(n_users);
    std::vector<std::int32_t> shifts(n_users), items(static_cast<std::size_t>(choices.nnz()));
    std::int64_t words = 0;
    for (std::size_t u = 0; u < n_users; ++u) {
        const std::int64_t n = choices.row_size(user_rows[u]);
        offsets[u + 1] = offsets[u] + n;
        begins[u] = words;
        const bool exact = tiles_.n_items <= kFilterBits * n;
        // Two words at least: a shift by 32 bits is undefined.
        const auto shared =
            static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n / 2, 2))));
        shifts[u] = exact ? 0 : 32 - std::countr_zero(static_cast<std::uint64_t>(shared));
        words += exact ? (tiles_.n_items + 31) / 32 : shared;
    }
    std::vector<std::uint32_t> filter(static_cast<std::size_t>(words));
    parallel_chunks(tiles_.n_users, kRowGrain, config_.n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (auto u = static_cast<std::size_t>(begin); u < static_cast<std::size_t>(end); ++u) {
            const std::int64_t first = choices.indptr[user_rows[u]];
            for (std::int64_t e = 0; e < offsets[u + 1] - offsets[u]; ++e) {
                const std::int32_t item = choices.indices[first + e];
                items[static_cast<std::size_t>(offsets[u] + e)] = item;
                const FilterPlace place = filter_place(
                    static_cast<std::uint32_t>(tiles_.item_position[static_cast<std::size_t>(item)]), shifts[u]);
                filter[static_cast<std::size_t>(begins[u] + place.word)] |= place.bits;
            }
        }
    });
    items_.offsets = DeviceArray<std::int64_t>(offsets);
    items_.items = DeviceArray<std::int32_t>(items);
    items_.item_rows = DeviceArray<std::int32_t>(rows_in_order(tiles_.item_position));
    items_.filter_begins = DeviceArray<std::int64_t>(begins);
    items_.filter_shifts = DeviceArray<std::int32_t>(shifts);
    items_.filter = DeviceArray<std::uint32_t>(filter);
}

void SampledTrainer::set_parameters(const FactorArrays& from) {
    check_factor_arrays(from, tiles_.n_users, tiles_.n_items, config_.n_factors, false, config_.item_bias,
                        "SampledTrainer.set_parameters");
    place_rows(from.user_factors, tiles_.user_position, state_.user_factors, state_.stride, config_.n_threads);
    place_rows(from.item_factors, tiles_.item_position, state_.item_factors, state_.stride, config_.n_threads);
    if (config_.item_bias) state_.item_bias.upload(in_order<float>(from.item_bias.data, tiles_.item_position).data());
}

void SampledTrainer::get_parameters(const FactorArrays& to) const {
    check_factor_arrays(to, tiles_.n_users, tiles_.n_items, config_.n_factors, false, config_.item_bias,
                        "SampledTrainer.get_parameters");
    fetch_rows(to.user_factors, tiles_.user_position, state_.user_factors, state_.stride, config_.n_threads);
    fetch_rows(to.item_factors, tiles_.item_position, state_.item_factors, state_.stride, config_.n_threads);
    fetch_bias(to.user_bias, false, tiles_.user_position, state_.item_bias);
    fetch_bias(to.item_bias, config_.item_bias, tiles_.item_position, state_.item_bias);
}

SampledPlan SampledTrainer::plan() const {
    const std::uint64_t seed = mix64(config_.seed) + epochs_;
    Rng random(seed, kMatching);
    SampledPlan plan;
    plan.key = random_key(seed, kDraws);
    const int n = tiles_.item_blocks();
    std::vector<std::int32_t> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    const bool alone = n % 2 == 0 && random.below(static_cast<std::uint64_t>(n)) == 0;
    shuffle(order.data(), n, Rng(seed, kMatching + 1));
    plan.partner.resize(static_cast<std::size_t>(n));
    for (int b = 0; b < n; b += 2) {
        const std::int32_t first = order[static_cast<std::size_t>(b)];
        const std::int32_t second = b + 1 < n ? order[static_cast<std::size_t>(b) + 1] : -1;
        plan.pairs.insert(plan.pairs.end(), {first, second});
        plan.partner[static_cast<std::size_t>(first)] = alone || second < 0 ? first : second;
        if (second >= 0) plan.partner[static_cast<std::size_t>(second)] = alone ? second : first;
    }
    plan.rounds = sgd_rounds(std::max(tiles_.user_blocks(), plan.n_pairs()), seed);
    return plan;
}

void SampledTrainer::epoch(float learning_rate, float bias_learning_rate) {
    const SampledPlan next = plan();
    ++epochs_;
    SampledStep step;
    step.learning_rate = learning_rate;
    step.item_learning_rate = config_.fixed_items ? 0.0f : learning_rate;
    step.bias_learning_rate = config_.fixed_items ? 0.0f : bias_learning_rate;
    step.bias = config_.item_bias;
    step.cost = config_.cost;
    step.by_user = config_.fixed_items;
    sampled_epoch(tiles_, items_, next, state_, step, config_.n_threads);
}

namespace {

// Calls body(user block, item block) for every tile in the order of the plan.
template <class Body>
void for_each_tile(const SgdTiles& tiles, const SampledPlan& plan, Body body) {
    const int parallel = std::min(tiles.user_blocks(), plan.n_pairs());
    for (const std::int32_t round : plan.rounds)
        for (int k = 0; k < parallel; ++k) {
            const SgdTile task = sgd_tile(tiles.user_blocks(), plan.n_pairs(), round, k);
            for (int half = 0; half < 2; ++half) {
                const std::int32_t block = plan.pairs[static_cast<std::size_t>(2 * task.item_block + half)];
                if (block >= 0) body(task.user_block, block);
            }
        }
}

}  // namespace

TrainingOrder SampledTrainer::order() const {
    TrainingOrder order;
    const TileOrder tiles(tiles_);
    for_each_tile(tiles_, plan(), [&](int user_block, int item_block) { tiles.append(user_block, item_block, order); });
    return order;
}

std::vector<std::int32_t> SampledTrainer::drawn() const {
    const SampledPlan next = plan();
    const TileOrder order(tiles_);
    const std::vector<AliasSlot> slots = items_.slots.to_host();
    const std::vector<std::int32_t> item_rows = items_.item_rows.to_host(), chosen = items_.items.to_host();
    const std::vector<std::int64_t> offsets = items_.offsets.to_host();
    std::vector<std::int32_t> result;
    for_each_tile(tiles_, next, [&](int user_block, int item_block) {
        TrainingOrder here;
        order.append(user_block, item_block, here);
        const auto other = static_cast<std::size_t>(next.partner[static_cast<std::size_t>(item_block)]);
        const std::int64_t begin = tiles_.item_bounds[other];
        const auto n = static_cast<std::uint32_t>(tiles_.item_bounds[other + 1] - begin);
        const std::size_t tile = static_cast<std::size_t>(user_block) * tiles_.item_blocks() + item_block;
        std::int64_t draw = tiles_.rating_offsets[tile] * items_.n_drawn;
        std::int32_t before = -1;
        for (const std::int32_t user : here.users) {
            if (config_.fixed_items && user != before) draw = std::int64_t{item_block} << 40;
            before = user;
            for (int m = 0; m < items_.n_drawn; ++m, ++draw) {
                std::uint32_t coin;
                const std::uint32_t slot =
                    alias_slot(half_word(random_word(next.key, static_cast<std::uint64_t>(draw / 2)), draw), n, &coin);
                const AliasSlot& entry = slots[static_cast<std::size_t>(begin + slot)];
                const std::int64_t place =
                    begin + (coin < entry.threshold ? slot : static_cast<std::uint32_t>(entry.alias));
                const std::int32_t item = item_rows[static_cast<std::size_t>(place)];
                const auto at = static_cast<std::size_t>(tiles_.user_position[static_cast<std::size_t>(user)]);
                const bool has =
                    std::binary_search(chosen.begin() + offsets[at], chosen.begin() + offsets[at + 1], item);
                result.push_back(has || items_.share[other] == 0.0f ? -1 : item);
            }
        }
    });
    return result;
}

std::vector<float> SampledTrainer::correction() const {
    std::vector<float> by_position = items_.correction.to_host();
    if (by_position.empty())
        for (int b = 0; b < tiles_.item_blocks(); ++b)
            by_position.insert(by_position.end(),
                               static_cast<std::size_t>(tiles_.item_bounds[static_cast<std::size_t>(b) + 1] -
                                                        tiles_.item_bounds[static_cast<std::size_t>(b)]),
                               items_.share[static_cast<std::size_t>(b)]);
    return in_order(by_position.data(), rows_in_order(tiles_.item_position));
}

double SampledTrainer::penalty() const {
    const auto of_rows = [&](const DeviceArray<float>& rows, const DeviceArray<float>& weights, std::int64_t cols,
                             std::int64_t stride) {
        const std::int64_t n = weights.size();
        return fastcf::penalty<float>({rows.data(), n, cols, stride}, {weights.data(), n}, config_.n_threads);
    };
    return 0.5 * (of_rows(state_.user_factors, user_penalty_, config_.n_factors, state_.stride) +
                  of_rows(state_.item_factors, item_penalty_, config_.n_factors, state_.stride) +
                  (config_.item_bias ? of_rows(state_.item_bias, item_penalty_, 1, 1) : 0.0));
}

void SampledTrainer::set_sample(VectorView<const std::int32_t> users, VectorView<const std::int32_t> items,
                                MatrixView<const std::int32_t> drawn, VectorView<const float> weights,
                                VectorView<const float> correction) {
    const char* caller = "SampledTrainer.set_sample";
    SampledProblem<float> problem;
    problem.user_factors = {state_.user_factors.data(), tiles_.n_users, config_.n_factors, state_.stride};
    problem.item_factors = {state_.item_factors.data(), tiles_.n_items, config_.n_factors, state_.stride};
    problem.users = users;
    problem.items = items;
    problem.drawn = drawn;
    problem.weights = weights;
    problem.correction = correction;
    check_sampled(problem, caller);
    const auto placed = [](const std::int32_t* rows, std::int64_t n, const std::vector<std::int32_t>& position) {
        std::vector<std::int32_t> result(static_cast<std::size_t>(n));
        for (std::int64_t e = 0; e < n; ++e)
            result[static_cast<std::size_t>(e)] = rows[e] < 0 ? -1 : position[static_cast<std::size_t>(rows[e])];
        return result;
    };
    sample_ = {placed(users.data, users.size, tiles_.user_position),
               placed(items.data, items.size, tiles_.item_position),
               placed(drawn.data, drawn.rows * drawn.cols, tiles_.item_position),
               {weights.data, weights.data + weights.size},
               in_order(correction.data, tiles_.item_position)};
}

double SampledTrainer::sample_cost() const {
    const HostView<const float> users(state_.user_factors), items(state_.item_factors), bias(state_.item_bias);
    const auto n = static_cast<std::int64_t>(sample_.users.size());
    SampledProblem<float> problem;
    problem.user_factors = {users.data(), tiles_.n_users, config_.n_factors, state_.stride};
    problem.item_factors = {items.data(), tiles_.n_items, config_.n_factors, state_.stride};
    if (config_.item_bias) problem.item_bias = {bias.data(), tiles_.n_items};
    problem.users = {sample_.users.data(), n};
    problem.items = {sample_.items.data(), n};
    const std::int64_t m = n == 0 ? 0 : static_cast<std::int64_t>(sample_.drawn.size()) / n;
    problem.drawn = {sample_.drawn.data(), n, m, m};
    problem.weights = {sample_.weights.data(), n};
    problem.correction = {sample_.correction.data(), static_cast<std::int64_t>(sample_.correction.size())};
    problem.cost = config_.cost;
    return choice_cost(problem, config_.n_threads);
}

void SampledTrainer::save_best() {
    best_.save(state_, config_.n_threads);
}

void SampledTrainer::restore_best() {
    best_.restore(state_, config_.n_threads, "SampledTrainer");
}

void SampledTrainer::list_state(StateFields& fields) {
    best_.list_state(fields, state_, false, config_.item_bias);
    fields.counter("epochs", epochs_);
}

}  // namespace fastcf
