#include "ops/list_measures.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <functional>
#include <limits>
#include <vector>

#include "core/parallel.h"
#include "math/list_measures.h"

namespace fastcf {
namespace {

constexpr const char* kCaller = "list_measures";
constexpr std::int64_t kUsersAtOnce = 64;

// The items of one user in an open hash table that is at most half full: a relevant item has the number of its gain
// until a list holds it, any other item of the list has kListed.
class Items {
  public:
    static constexpr std::int64_t kNew = -1, kListed = -2;

    void clear(std::int64_t capacity) {
        shift_ = 64 - std::bit_width(static_cast<std::uint64_t>(2 * capacity));
        slots_.assign(std::size_t{1} << (64 - shift_), {-1, kNew});
    }
    // What is held for an item: kNew where it is not held yet.
    std::int64_t& at(std::int32_t item) {
        std::size_t slot = static_cast<std::size_t>((static_cast<std::uint64_t>(item) * 0x9e3779b97f4a7c15u) >> shift_);
        while (slots_[slot].item >= 0 && slots_[slot].item != item) slot = (slot + 1) & (slots_.size() - 1);
        slots_[slot].item = item;
        return slots_[slot].held;
    }

  private:
    struct Slot {
        std::int32_t item;
        std::int64_t held;
    };
    std::vector<Slot> slots_;
    int shift_ = 63;
};

// What one thread works with; kept from user to user, so that memory is asked for once.
struct Scratch {
    Items items;
    std::vector<double> gains, best;
};

void check_query(const ListQuery& query, const MatrixView<double>& out) {
    check(query.items.rows == query.users.size, kCaller, ": items must have one row per user (", query.users.size,
          "); got ", query.items.rows);
    check(query.items.cols <= std::numeric_limits<std::int32_t>::max(), kCaller,
          ": lists must have fewer than 2^31 places; got ", query.items.cols);
    check(!query.indptr.empty(), kCaller, ": indptr must have at least one entry; got 0");
    check_indptr({query.indptr.data, nullptr, nullptr, query.indptr.size - 1, 0}, query.indices.size, kCaller);
    check(query.gains.size == query.indices.size, kCaller, ": gains must have one entry per relevant item (",
          query.indices.size, "); got ", query.gains.size);
    for (std::int64_t l = 0; l < query.lengths.size; ++l)
        check(query.lengths[l] >= 1 && query.lengths[l] <= query.items.cols, kCaller, ": lengths must lie in [1, ",
              query.items.cols, "]; got ", query.lengths[l]);
    check(out.rows == ListMeasures::kCount * query.lengths.size && out.cols == query.users.size, kCaller,
          ": the output must have shape (", ListMeasures::kCount * query.lengths.size, ", ", query.users.size,
          "); got (", out.rows, ", ", out.cols, ")");
}

class Measurer {
  public:
    Measurer(const ListQuery& query, MatrixView<double> out)
        : query_(query),
          out_(out),
          longest_(*std::max_element(query.lengths.data, query.lengths.data + query.lengths.size)) {
        for (std::int64_t place = 0; place < longest_; ++place) discounts_.push_back(place_discount(place));
    }

    // Writes the measures of one list; returns whether it holds an item twice.
    bool measure(std::int64_t u, Scratch& scratch) const {
        const std::int32_t user = query_.users[u];
        check(user >= 0 && user < query_.indptr.size - 1, kCaller, ": users must lie in [0, ", query_.indptr.size - 1,
              "); got ", user, " at entry ", u);
        const std::int64_t begin = query_.indptr[user], n = query_.indptr[user + 1] - begin;
        check(n > 0, kCaller, ": every user must have relevant items; user ", user, " has none");
        const std::int32_t* relevant = query_.indices.data + begin;
        check(relevant[0] >= 0 && std::is_sorted(relevant, relevant + n), kCaller,
              ": indices must be at least 0 and ascend within each user; those of user ", user, " do not");
        const bool repeated = match(query_.items.row(u), relevant, query_.gains.data + begin, n, scratch);
        scratch.best.assign(query_.gains.data + begin, query_.gains.data + begin + n);
        const auto most = scratch.best.begin() + std::min(n, longest_);
        std::partial_sort(scratch.best.begin(), most, scratch.best.end(), std::greater<>());
        for (std::int64_t l = 0; l < query_.lengths.size; ++l) {
            const ListMeasures of =
                list_measures_of(scratch.gains.data(), discounts_.data(), scratch.best.data(), query_.lengths[l], n);
            const double fields[] = {of.precision,         of.recall, of.capped_recall, of.hit, of.reciprocal_rank,
                                     of.average_precision, of.ndcg,   of.graded_ndcg};
            static_assert(std::size(fields) == ListMeasures::kCount);
            for (std::int64_t i = 0; i < ListMeasures::kCount; ++i)
                out_.row(ListMeasures::kCount * l + i)[u] = fields[i];
        }
        return repeated;
    }

  private:
    // Finds the gain of each place, NaN where the item is irrelevant; returns whether an item occurs twice.
    bool match(const std::int32_t* items, const std::int32_t* relevant, const float* gains, std::int64_t n,
               Scratch& scratch) const {
        scratch.items.clear(n + longest_);
        for (std::int64_t e = 0; e < n; ++e) scratch.items.at(relevant[e]) = e;
        scratch.gains.assign(static_cast<std::size_t>(longest_), std::numeric_limits<double>::quiet_NaN());
        bool repeated = false;
        for (std::int64_t j = 0; j < longest_; ++j) {
            if (items[j] < 0) continue;
            std::int64_t& held = scratch.items.at(items[j]);
            repeated = repeated || held == Items::kListed;
            if (held >= 0) scratch.gains[static_cast<std::size_t>(j)] = static_cast<double>(gains[held]);
            held = Items::kListed;
        }
        return repeated;
    }

    const ListQuery& query_;
    MatrixView<double> out_;
    std::int64_t longest_;
    std::vector<double> discounts_;
};

}  // namespace

std::int64_t list_measures(const ListQuery& query, MatrixView<double> out) {
    check_query(query, out);
    if (query.lengths.empty()) return -1;
    const std::int64_t m = query.users.size;
    const int threads = threads_for(m * query.items.cols * 8, query.n_threads);
    std::vector<Scratch> scratch(static_cast<std::size_t>(threads));
    const Measurer measurer(query, out);
    std::atomic<std::int64_t> repeated{m};
    parallel_chunks(m, kUsersAtOnce, threads, [&](std::int64_t first, std::int64_t last, int thread) {
        for (std::int64_t u = first; u < last; ++u) {
            if (!measurer.measure(u, scratch[static_cast<std::size_t>(thread)])) continue;
            std::int64_t before = repeated.load(std::memory_order_relaxed);
            while (u < before && !repeated.compare_exchange_weak(before, u, std::memory_order_relaxed)) {
            }
        }
    });
    return repeated.load() < m ? repeated.load() : -1;
}

}  // namespace fastcf
