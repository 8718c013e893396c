#include "ingest/synth.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/alias.h"
#include "core/parallel.h"
#include "core/rng.h"

namespace fastcf::ingest {

namespace {

// Real catalogues bend at their head: this share of n_items is added to the rank before the power is taken.
constexpr double kRankShift = 0.015;
constexpr std::int64_t kUsersPerTask = 128;

// Streams of random numbers: one per purpose and user or item.
enum class Purpose : std::uint64_t { activity = 1, ranks, items, noise, times, user_model, item_model };

Rng stream(const SynthOptions& options, Purpose purpose, std::int64_t index) {
    return {options.seed, (static_cast<std::uint64_t>(purpose) << 56) | static_cast<std::uint64_t>(index)};
}

// ---------------------------------------------------------------------------------------------------------------
// How many ratings each user gives
// ---------------------------------------------------------------------------------------------------------------

// The factor f for which sum(min(f * share, cap)) = total. The largest shares meet the cap first, and each user it
// holds back leaves more for the others; sums are taken from the smallest upwards, so that nothing is lost to
// cancellation.
double filling_factor(std::vector<double> shares, double cap, double total) {
    std::sort(shares.begin(), shares.end());
    std::vector<double> sums(shares.size());
    std::partial_sum(shares.begin(), shares.end(), sums.begin());
    for (std::size_t n = shares.size(); n-- > 0; total -= cap) {
        const double factor = total / sums[n];
        if (factor * shares[n] <= cap) return factor;
    }
    return HUGE_VAL;
}

void draw_counts(const SynthOptions& options, VectorView<std::int64_t> indptr) {
    const std::int64_t n_users = options.n_users;
    const std::int64_t least = options.n_ratings >= n_users ? 1 : 0;  // nobody is silent when there is enough to say
    const std::int64_t cap = options.n_items - least;
    std::vector<double> shares(static_cast<std::size_t>(n_users));
    for (std::int64_t u = 0; u < n_users; ++u)
        shares[u] = std::exp(options.activity * stream(options, Purpose::activity, u).normal());
    std::int64_t missing = options.n_ratings - least * n_users;
    const double factor = filling_factor(shares, static_cast<double>(cap), static_cast<double>(missing));

    std::int64_t* counts = indptr.data + 1;
    for (std::int64_t u = 0; u < n_users; ++u) {
        const double wanted = std::min(factor * shares[u], static_cast<double>(cap));
        const auto whole = std::min(static_cast<std::int64_t>(wanted), missing);
        shares[u] = wanted - static_cast<double>(whole);  // from here on: what rounding down took
        counts[u] = least + whole;
        missing -= whole;
    }
    std::vector<std::int64_t> order(static_cast<std::size_t>(n_users));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return shares[a] > shares[b]; });
    while (missing > 0)
        for (std::int64_t n = 0; n < n_users && missing > 0; ++n)
            if (counts[order[n]] < options.n_items) {
                ++counts[order[n]];
                --missing;
            }
    indptr[0] = 0;
    std::partial_sum(counts, counts + n_users, counts);
}

// ---------------------------------------------------------------------------------------------------------------
// Which items a user rates
// ---------------------------------------------------------------------------------------------------------------

std::vector<double> popularity_weights(const SynthOptions& options) {
    const std::int64_t n = options.n_items;
    std::vector<std::int64_t> ranks(static_cast<std::size_t>(n));
    std::iota(ranks.begin(), ranks.end(), 0);
    shuffle(ranks.data(), n, stream(options, Purpose::ranks, 0));
    std::vector<double> weights(static_cast<std::size_t>(n));
    const double shift = 1.0 + kRankShift * static_cast<double>(n);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += weights[i] = std::pow((static_cast<double>(ranks[i]) + shift) / shift, -options.popularity);
    for (double& weight : weights) weight /= sum;
    return weights;
}

// Draws an item by its weight in constant time.
class AliasTable {
  public:
    explicit AliasTable(const std::vector<double>& weights) : slots_(weights.size()) {
        build_alias(weights.data(), static_cast<std::int64_t>(weights.size()), 1.0, slots_.data());
    }

    std::int32_t draw(Rng& rng) const {
        const auto product = static_cast<unsigned __int128>(rng.next()) * slots_.size();
        const auto slot = static_cast<std::int32_t>(product >> 64);
        return static_cast<std::uint32_t>(product >> 32) < slots_[slot].threshold ? slot : slots_[slot].alias;
    }

  private:
    std::vector<AliasSlot> slots_;
};

struct ItemWeights {
    explicit ItemWeights(const SynthOptions& options) : weights(popularity_weights(options)), table(weights) {
        // A rejected draw and a key cost about the same, and a user of this size needs some 2 n_items draws.
        double distinct = 0;
        for (const double weight : weights) distinct -= std::expm1(-2.0 * weight * static_cast<double>(weights.size()));
        most_by_rejection = static_cast<std::int64_t>(distinct);
    }

    std::vector<double> weights;
    AliasTable table;
    std::int64_t most_by_rejection = 0;
};

// Samples without replacement, one row at a time; one per thread.
class RowSampler {
  public:
    explicit RowSampler(const ItemWeights& items) : items_(items), seen_((items.weights.size() + 63) / 64) {}

    // Fills row[0, count) with distinct items in ascending order. Both ways draw from one distribution: successive
    // draws that skip what was drawn before are the smallest of exponential keys with rates w_i (Efraimidis and
    // Spirakis 2006).
    void sample(std::int32_t* row, std::int64_t count, Rng rng) {
        if (count <= items_.most_by_rejection)
            by_rejection(row, count, rng);
        else
            by_keys(row, count, rng, [](std::size_t) { return 1.0; });
    }

    // The same with the rates w_i exp(slope p . q_i). Rejection would need a bound of the exponential, which is so far
    // above its mean that few draws are kept.
    void sample_by_taste(std::int32_t* row, std::int64_t count, Rng rng, double slope, const float* p,
                         MatrixView<float> q) {
        by_keys(row, count, rng, [&](std::size_t i) {
            const float* factors = q.row(static_cast<std::int64_t>(i));
            float dot = 0;
            for (std::int64_t f = 0; f < q.cols; ++f) dot += p[f] * factors[f];
            return std::exp(-slope * static_cast<double>(dot));
        });
    }

  private:
    void by_rejection(std::int32_t* row, std::int64_t count, Rng rng) {
        for (std::int64_t n = 0; n < count;) {
            const std::int32_t item = items_.table.draw(rng);
            std::uint64_t& word = seen_[static_cast<std::size_t>(item) >> 6];
            const std::uint64_t bit = std::uint64_t{1} << (item & 63);
            if ((word & bit) != 0) continue;
            word |= bit;
            row[n++] = item;
        }
        // Few items: sort them. Many: they stand in order in the bitmap.
        if (count * 8 < static_cast<std::int64_t>(seen_.size())) {
            for (std::int64_t n = 0; n < count; ++n) seen_[static_cast<std::size_t>(row[n]) >> 6] = 0;
            std::sort(row, row + count);
            return;
        }
        for (std::size_t w = 0; w < seen_.size(); ++w) {
            for (std::uint64_t word = seen_[w]; word != 0; word &= word - 1)
                *row++ = static_cast<std::int32_t>(w * 64) + std::countr_zero(word);
            seen_[w] = 0;
        }
    }

    // `inverse(i)` is the reciprocal of what the rate of item i is multiplied by.
    template <class Inverse>
    void by_keys(std::int32_t* row, std::int64_t count, Rng rng, const Inverse& inverse) {
        keys_.resize(items_.weights.size());
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const double u = (static_cast<double>(rng.at(i) >> 12) + 0.5) * 0x1.0p-52;  // neither 0 nor 1
            keys_[i] = {-std::log(u) / items_.weights[i] * inverse(i), static_cast<std::int32_t>(i)};
        }
        std::nth_element(keys_.begin(), keys_.begin() + (count - 1), keys_.end());
        for (std::int64_t n = 0; n < count; ++n) row[n] = keys_[n].second;
        std::sort(row, row + count);
    }

    const ItemWeights& items_;
    std::vector<std::uint64_t> seen_;
    std::vector<std::pair<double, std::int32_t>> keys_;
};

// ---------------------------------------------------------------------------------------------------------------
// What the ratings are
// ---------------------------------------------------------------------------------------------------------------

// Biases and factors of users or items; k factors of this deviation on both sides give p.q the deviation `signal`.
void draw_model(const SynthOptions& options, Purpose purpose, double bias_deviation, MatrixView<float> factors,
                VectorView<float> biases, int n_threads) {
    const double deviation =
        factors.cols == 0 ? 0.0 : std::sqrt(options.signal / std::sqrt(static_cast<double>(factors.cols)));
    parallel_chunks(biases.size, 4096, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t r = begin; r < end; ++r) {
            Rng rng = stream(options, purpose, r);
            biases[r] = static_cast<float>(bias_deviation * rng.normal());
            for (std::int64_t f = 0; f < factors.cols; ++f)
                factors.row(r)[f] = static_cast<float>(deviation * rng.normal());
        }
    });
}

class Scale {
  public:
    explicit Scale(VectorView<const float> levels) : levels_(levels) {
        for (std::int64_t n = 1; n < levels.size; ++n) middles_.push_back(0.5F * (levels[n - 1] + levels[n]));
    }

    float nearest(float value) const {
        if (levels_.empty()) return value;
        std::int32_t level = 0;
        for (const float middle : middles_) level += value > middle ? 1 : 0;
        return levels_[level];
    }

    float clip(float value) const {
        return levels_.empty() ? value : std::clamp(value, levels_[0], levels_[levels_.size - 1]);
    }

  private:
    VectorView<const float> levels_;
    std::vector<float> middles_;
};

// Two standard normals of one draw (Box and Muller 1958), in float: 24 random bits each, so none is beyond 5.8.
void normal_pair(std::uint64_t bits, float& first, float& second) {
    const float u = static_cast<float>((bits >> 40) + 1) * 0x1.0p-24F;
    const float angle = static_cast<float>((bits >> 8) & 0xffffff) * (0x1.0p-24F * 6.2831853F);
    const float radius = std::sqrt(-2.0F * std::log(u));
    first = radius * std::cos(angle);
    second = radius * std::sin(angle);
}

struct SquaredError {
    double score = 0;
    double biases = 0;
};

void draw_values(const SynthOptions& options, const SynthRatings& out, const Scale& scale, std::int64_t user,
                 SquaredError& error) {
    const Rng rng = stream(options, Purpose::noise, user);
    const std::int64_t begin = out.indptr[user], end = out.indptr[user + 1];
    const float* p = out.user_factors.row(user);
    const auto base = static_cast<float>(options.mean) + out.user_bias[user];
    const auto deviation = static_cast<float>(options.noise);
    float noise[2] = {0, 0};
    for (std::int64_t e = begin; e < end; ++e) {
        const std::int64_t n = e - begin;
        if (n % 2 == 0) normal_pair(rng.at(static_cast<std::uint64_t>(n)), noise[0], noise[1]);
        const std::int32_t item = out.indices[e];
        const float* q = out.item_factors.row(item);
        float dot = 0;
        for (std::int64_t f = 0; f < out.user_factors.cols; ++f) dot += p[f] * q[f];
        const float biases = base + out.item_bias[item];
        const float rating = scale.nearest(biases + dot + deviation * noise[n % 2]);
        out.values[e] = rating;
        const float score_error = rating - scale.clip(biases + dot);
        const float bias_error = rating - scale.clip(biases);
        error.score += static_cast<double>(score_error * score_error);
        error.biases += static_cast<double>(bias_error * bias_error);
    }
}

// Seconds since 1970: each user is active for a while between 2000 and 2020.
void draw_times(const SynthOptions& options, const SynthRatings& out, std::int64_t user) {
    constexpr double kFirst = 946'684'800, kLast = 1'577'836'800, kTypicalSpan = 180.0 * 86'400;
    Rng rng = stream(options, Purpose::times, user);
    const double start = kFirst + (kLast - kFirst) * rng.uniform();
    const double span = std::min(kLast - start, -std::log(1.0 - rng.uniform()) * kTypicalSpan);
    for (std::int64_t e = out.indptr[user]; e < out.indptr[user + 1]; ++e)
        out.timestamps[e] = static_cast<std::int64_t>(start + span * rng.uniform());
}

void check_arguments(const SynthOptions& options, const SynthRatings& out) {
    const char* caller = "make_ratings";
    check(options.n_users >= 1 && options.n_users <= INT32_MAX, caller, ": n_users must be in [1, 2^31); got ",
          options.n_users);
    check(options.n_items >= 1 && options.n_items <= INT32_MAX, caller, ": n_items must be in [1, 2^31); got ",
          options.n_items);
    check(options.n_ratings >= 0 && options.n_ratings <= options.n_users * options.n_items, caller,
          ": n_ratings must be in [0, n_users * n_items]; got ", options.n_ratings);
    for (const double value : {options.activity, options.user_bias, options.item_bias, options.signal, options.noise})
        check(std::isfinite(value) && value >= 0, caller, ": deviations must be finite and at least 0; got ", value);
    check(options.activity <= 10, caller, ": activity must be at most 10; got ", options.activity);
    check(options.popularity >= 0 && options.popularity <= 10, caller, ": popularity must be in [0, 10]; got ",
          options.popularity);
    check(options.choice >= 0 && options.choice <= 10, caller, ": choice must be in [0, 10]; got ", options.choice);
    check(options.choice == 0 || (options.signal > 0 && out.user_factors.cols > 0), caller,
          ": signal and n_factors must be above 0 where choice is; got signal ", options.signal, " and ",
          out.user_factors.cols, " factors");
    check(std::isfinite(options.mean), caller, ": mean must be finite; got ", options.mean);
    for (std::int64_t n = 0; n < options.levels.size; ++n)
        check(std::isfinite(options.levels[n]) && (n == 0 || options.levels[n - 1] < options.levels[n]), caller,
              ": levels must be finite and ascending; got ", options.levels[n], " at entry ", n);
    check(out.indptr.size == options.n_users + 1 && out.indices.size == options.n_ratings &&
              out.values.size == options.n_ratings &&
              (out.timestamps.empty() || out.timestamps.size == options.n_ratings),
          caller, ": arrays must have n_users + 1 and n_ratings entries");
    check(out.user_factors.rows == options.n_users && out.item_factors.rows == options.n_items &&
              out.user_bias.size == options.n_users && out.item_bias.size == options.n_items &&
              out.exposure.size == options.n_items && out.user_factors.cols == out.item_factors.cols,
          caller, ": factors, exposure and biases must have one row per user and item and as many factors");
}

}  // namespace

SynthError make_ratings(const SynthOptions& options, const SynthRatings& out, int n_threads) {
    check_arguments(options, out);
    n_threads = resolve_threads(n_threads);
    draw_counts(options, out.indptr);
    draw_model(options, Purpose::user_model, options.user_bias, out.user_factors, out.user_bias, n_threads);
    draw_model(options, Purpose::item_model, options.item_bias, out.item_factors, out.item_bias, n_threads);

    const ItemWeights weights(options);
    for (std::int64_t i = 0; i < options.n_items; ++i) out.exposure[i] = static_cast<float>(weights.weights[i]);
    const double slope = options.choice > 0 ? options.choice / options.signal : 0.0;
    const Scale scale(options.levels);
    const std::int64_t n_tasks = (options.n_users + kUsersPerTask - 1) / kUsersPerTask;
    std::vector<SquaredError> errors(static_cast<std::size_t>(n_tasks));  // one per task: added up in a fixed order
    std::vector<RowSampler> samplers(static_cast<std::size_t>(n_threads), RowSampler(weights));
    parallel_for(n_tasks, n_threads, [&](std::int64_t task, int thread) {
        SquaredError error;
        const std::int64_t last = std::min(options.n_users, (task + 1) * kUsersPerTask);
        for (std::int64_t user = task * kUsersPerTask; user < last; ++user) {
            const std::int64_t count = out.indptr[user + 1] - out.indptr[user];
            if (count == 0) continue;
            std::int32_t* row = out.indices.data + out.indptr[user];
            const Rng rng = stream(options, Purpose::items, user);
            if (slope > 0)
                samplers[thread].sample_by_taste(row, count, rng, slope, out.user_factors.row(user), out.item_factors);
            else
                samplers[thread].sample(row, count, rng);
            draw_values(options, out, scale, user, error);
            if (!out.timestamps.empty()) draw_times(options, out, user);
        }
        errors[task] = error;
    });

    SynthError total;
    if (options.n_ratings == 0) return total;
    for (const SquaredError& error : errors) {
        total.score += error.score;
        total.biases += error.biases;
    }
    const auto n = static_cast<double>(options.n_ratings);
    return {std::sqrt(total.score / n), std::sqrt(total.biases / n)};
}

}  // namespace fastcf::ingest
