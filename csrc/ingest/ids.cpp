#include "ingest/ids.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include "core/parallel.h"
#include "core/parallel_sort.h"
#include "core/rng.h"

namespace fastcf {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // ids per task
constexpr std::int64_t kAhead = 32;  // ids hashed before the first is looked up, so that their slots are on the way

void prefetch(const void* address) {
#if defined(__GNUC__)
    __builtin_prefetch(address);
#else
    (void)address;
#endif
}

// A table over the range of the ids pays while it is small in itself or beside what is there anyway: `allowance`
// entries, and 2^25 at most.
bool is_dense(std::int64_t minimum, std::int64_t maximum, std::int64_t allowance) {
    const auto span = static_cast<std::uint64_t>(maximum) - static_cast<std::uint64_t>(minimum);
    return span < static_cast<std::uint64_t>(std::clamp<std::int64_t>(allowance, 1 << 18, 1 << 25));
}

std::uint64_t hash_integer(std::int64_t id) {
    return mix64(static_cast<std::uint64_t>(id));
}

// Slots for n keys at a load of at most one half.
std::size_t table_capacity(std::int64_t n) {
    return std::bit_ceil(static_cast<std::size_t>(std::max<std::int64_t>(n, 4)) * 2);
}

// The distinct ids among the entries that one thread has seen. A slot holds the hash and the entry that brought the id;
// hash_integer is a bijection, so equal hashes are equal ids.
class IdSet {
  public:
    template <class Hash>
    void insert_all(std::int64_t begin, std::int64_t end, Hash hash) {
        std::uint64_t hashes[kAhead];
        for (; begin < end; begin += kAhead) {
            const std::int64_t n = std::min<std::int64_t>(kAhead, end - begin);
            for (std::int64_t i = 0; i < n; ++i) {
                hashes[i] = hash(begin + i);
                prefetch(&slots_[hashes[i] & (slots_.size() - 1)]);
            }
            for (std::int64_t i = 0; i < n; ++i) insert({hashes[i], begin + i});
        }
    }

    void absorb(IdSet& other) {
        for (const Slot& slot : other.slots_)
            if (slot.entry >= 0) insert(slot);
        other = IdSet();
    }

    // One entry per distinct id, in no particular order.
    std::vector<std::int64_t> entries() const {
        std::vector<std::int64_t> result;
        result.reserve(static_cast<std::size_t>(count_));
        for (const Slot& slot : slots_)
            if (slot.entry >= 0) result.push_back(slot.entry);
        return result;
    }

  private:
    struct Slot {
        std::uint64_t hash;
        std::int64_t entry;
    };

    void insert(const Slot& slot) {
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = slot.hash & mask;
        for (; slots_[at].entry >= 0; at = (at + 1) & mask)
            if (slots_[at].hash == slot.hash) return;
        slots_[at] = slot;
        if (++count_ * 3 > static_cast<std::int64_t>(slots_.size()) * 2) grow();
    }

    void grow() {
        std::vector<Slot> larger(slots_.size() * 2, Slot{0, -1});
        const std::size_t mask = larger.size() - 1;
        for (const Slot& slot : slots_) {
            if (slot.entry < 0) continue;
            std::size_t at = slot.hash & mask;
            while (larger[at].entry >= 0) at = (at + 1) & mask;
            larger[at] = slot;
        }
        slots_ = std::move(larger);
    }

    std::vector<Slot> slots_ = std::vector<Slot>(64, Slot{0, -1});
    std::int64_t count_ = 0;
};

// One entry per distinct id of `n`, in no particular order: every thread fills a set, sets are united pairwise.
template <class Hash>
std::vector<std::int64_t> distinct_entries(std::int64_t n, std::int64_t limit, int n_threads, Hash hash) {
    n_threads = threads_for(n, n_threads);
    std::vector<IdSet> sets(static_cast<std::size_t>(n_threads));
    parallel_chunks(n, kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        sets[static_cast<std::size_t>(thread)].insert_all(begin, end, hash);
    });
    const auto n_sets = static_cast<std::int64_t>(sets.size());
    for (std::int64_t apart = 1; apart < n_sets; apart *= 2)
        parallel_for((n_sets + apart - 1) / (2 * apart), n_threads, [&](std::int64_t pair, int) {
            const auto first = static_cast<std::size_t>(2 * apart * pair);
            sets[first].absorb(sets[first + static_cast<std::size_t>(apart)]);
        });
    std::vector<std::int64_t> result = sets[0].entries();
    check(static_cast<std::int64_t>(result.size()) <= limit, "there must be at most ", limit, " distinct ids; got ",
          result.size());
    return result;
}

template <class Integer>
std::pair<std::int64_t, std::int64_t> bounds_of(const Integer* ids, std::int64_t n, int n_threads) {
    std::mutex mutex;
    Integer minimum = std::numeric_limits<Integer>::max();
    Integer maximum = std::numeric_limits<Integer>::min();
    parallel_chunks(n, 8 * kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        Integer low = std::numeric_limits<Integer>::max();
        Integer high = std::numeric_limits<Integer>::min();
        for (std::int64_t i = begin; i < end; ++i) {
            low = std::min(low, ids[i]);
            high = std::max(high, ids[i]);
        }
        const std::lock_guard<std::mutex> lock(mutex);
        minimum = std::min(minimum, low);
        maximum = std::max(maximum, high);
    });
    return {minimum, maximum};
}

template <class Integer>
std::vector<std::int64_t> unique_of(const Integer* ids, std::int64_t n, std::int64_t limit, int n_threads) {
    std::vector<std::int64_t> result;
    if (n == 0) return result;
    const auto [minimum, maximum] = bounds_of(ids, n, n_threads);
    if (is_dense(minimum, maximum, 4 * n)) {
        std::vector<std::uint8_t> present(static_cast<std::size_t>(maximum - minimum) + 1, 0);
        std::uint8_t* marks = present.data();
        const std::int64_t base = minimum;
        parallel_chunks(n, kGrain, n_threads, [=](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t i = begin; i < end; ++i) {
                const std::atomic_ref<std::uint8_t> mark(marks[ids[i] - base]);  // all threads write the same 1
                if (mark.load(std::memory_order_relaxed) == 0) mark.store(1, std::memory_order_relaxed);
            }
        });
        const std::int64_t count = std::count(present.begin(), present.end(), std::uint8_t{1});
        check(count <= limit, "there must be at most ", limit, " distinct ids; got ", count);
        result.reserve(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < present.size(); ++i)
            if (present[i] != 0) result.push_back(minimum + static_cast<std::int64_t>(i));
        return result;
    }
    result = distinct_entries(n, limit, n_threads, [=](std::int64_t entry) { return hash_integer(ids[entry]); });
    for (std::int64_t& value : result) value = ids[value];
    parallel_sort(result, n_threads, std::less<>());
    return result;
}

}  // namespace

std::vector<std::int64_t> unique_integers(const IdArray& ids, std::int64_t limit, int n_threads) {
    if (ids.type == IdArray::Type::int32)
        return unique_of(static_cast<const std::int32_t*>(ids.data), ids.size, limit, n_threads);
    return unique_of(static_cast<const std::int64_t*>(ids.data), ids.size, limit, n_threads);
}

IdIndex::IdIndex(const IdArray& ids) : size_(ids.size) {
    check(size_ <= kMaxDistinctIds, "there must be at most ", kMaxDistinctIds, " distinct ids; got ", size_);
    check(ids.type == IdArray::Type::int64, "IdIndex: ids must have dtype int64");
    if (size_ == 0) return;
    const auto* values = static_cast<const std::int64_t*>(ids.data);
    const auto [low, high] = std::minmax_element(values, values + size_);
    minimum_ = *low;
    if (is_dense(*low, *high, 32 * size_)) {
        consecutive_ = *high - *low == size_ - 1;
        for (std::int64_t i = 0; consecutive_ && i < size_; ++i) consecutive_ = values[i] == minimum_ + i;
        if (consecutive_) return;
        table_.assign(static_cast<std::size_t>(*high - *low) + 1, -1);
        for (std::int64_t i = 0; i < size_; ++i) {
            std::int32_t& position = table_[static_cast<std::size_t>(values[i] - minimum_)];
            check(position < 0, "ids must be distinct; got ", values[i], " at positions ", position, " and ", i);
            position = static_cast<std::int32_t>(i);
        }
        return;
    }
    slots_.assign(table_capacity(size_), Slot{0, -1});
    const std::uint64_t mask = slots_.size() - 1;
    for (std::int64_t i = 0; i < size_; ++i) {
        const std::uint64_t hash = hash_integer(values[i]);
        std::uint64_t at = hash & mask;
        for (; slots_[at].position >= 0; at = (at + 1) & mask)
            check(slots_[at].hash != hash, "ids must be distinct; got ", values[i], " at positions ",
                  slots_[at].position, " and ", i);
        slots_[at] = {hash, i};
    }
}

// Looks up n ids through the hash table. mix64 is a bijection: equal hashes are equal ids.
template <class Integer>
void IdIndex::probe(const Integer* ids, std::int64_t n, std::int32_t* out) const {
    const std::uint64_t mask = slots_.size() - 1;
    std::uint64_t hashes[kAhead];
    for (std::int64_t begin = 0; begin < n; begin += kAhead) {
        const std::int64_t end = std::min(n, begin + kAhead);
        for (std::int64_t i = begin; i < end; ++i) {
            hashes[i - begin] = hash_integer(ids[i]);
            prefetch(&slots_[hashes[i - begin] & mask]);
        }
        for (std::int64_t i = begin; i < end; ++i) {
            const std::uint64_t wanted = hashes[i - begin];
            std::uint64_t at = wanted & mask;
            while (slots_[at].position >= 0 && slots_[at].hash != wanted) at = (at + 1) & mask;
            out[i] = static_cast<std::int32_t>(slots_[at].position);
        }
    }
}

template <class Integer>
void IdIndex::encode_integers(const Integer* ids, std::int64_t n, std::int32_t* out) const {
    const auto offset = [&](std::int64_t i) {
        return static_cast<std::uint64_t>(ids[i]) - static_cast<std::uint64_t>(minimum_);
    };
    if (consecutive_) {
        const auto size = static_cast<std::uint64_t>(size_);
        for (std::int64_t i = 0; i < n; ++i) out[i] = offset(i) < size ? static_cast<std::int32_t>(offset(i)) : -1;
    } else if (!table_.empty()) {
        for (std::int64_t i = 0; i < n; ++i) out[i] = offset(i) < table_.size() ? table_[offset(i)] : -1;
    } else {
        probe(ids, n, out);
    }
}

void IdIndex::encode(const IdArray& ids, std::int64_t begin, std::int64_t end, std::int32_t* out) const {
    if (size_ == 0)
        std::fill(out, out + (end - begin), -1);
    else if (ids.type == IdArray::Type::int32)
        encode_integers(static_cast<const std::int32_t*>(ids.data) + begin, end - begin, out);
    else
        encode_integers(static_cast<const std::int64_t*>(ids.data) + begin, end - begin, out);
}

void IdIndex::encode_all(const IdArray& ids, std::int32_t* out, int n_threads) const {
    parallel_chunks(ids.size, kGrain, n_threads,
                    [&](std::int64_t begin, std::int64_t end, int) { encode(ids, begin, end, out + begin); });
}

}  // namespace fastcf
