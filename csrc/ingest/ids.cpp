#include "ingest/ids.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include "core/parallel.h"
#include "core/rng.h"

namespace fastcf {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // ids per task

// A table over the range of the ids pays while it is small in itself or beside what is there anyway: `allowance`
// entries, and 2^25 at most.
bool is_dense(std::int64_t minimum, std::int64_t maximum, std::int64_t allowance) {
    const auto span = static_cast<std::uint64_t>(maximum) - static_cast<std::uint64_t>(minimum);
    return span < static_cast<std::uint64_t>(std::clamp<std::int64_t>(allowance, 1 << 18, 1 << 25));
}

std::uint64_t hash_integer(std::int64_t id) {
    return mix64(static_cast<std::uint64_t>(id));
}

// Padding does not count, so arrays of different widths agree.
std::int64_t text_length(const char32_t* text, std::int64_t width) {
    while (width > 0 && text[width - 1] == 0) --width;
    return width;
}

std::uint64_t hash_text(const char32_t* text, std::int64_t length) {
    std::uint64_t hash = static_cast<std::uint64_t>(length);
    for (std::int64_t i = 0; i < length; ++i) hash = (hash ^ text[i]) * 0x9fb21c651e98df25ULL;
    return mix64(hash);
}

bool same_text(const char32_t* a, std::int64_t width_a, const char32_t* b, std::int64_t width_b) {
    const std::int64_t length = text_length(a, width_a);
    return length == text_length(b, width_b) && std::equal(a, a + length, b);
}

// Slots for n keys at a load of at most one half.
std::int64_t table_capacity(std::int64_t n) {
    return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 4)) * 2));
}

// Sorts pieces in parallel, then merges them pairwise.
template <class T, class Less>
void parallel_sort(std::vector<T>& values, int n_threads, Less less) {
    const auto n = static_cast<std::int64_t>(values.size());
    const auto threads = static_cast<std::uint64_t>(resolve_threads(n_threads));
    const std::int64_t pieces = n < 4 * kGrain ? 1 : static_cast<std::int64_t>(std::bit_ceil(threads));
    const auto bound = [&](std::int64_t piece) { return values.begin() + n * piece / pieces; };
    parallel_for(pieces, n_threads, [&](std::int64_t p, int) { std::sort(bound(p), bound(p + 1), less); });
    for (std::int64_t width = 1; width < pieces; width *= 2)
        parallel_for(pieces / (2 * width), n_threads, [&](std::int64_t p, int) {
            const std::int64_t first = 2 * width * p;
            std::inplace_merge(bound(first), bound(first + width), bound(first + 2 * width), less);
        });
}

// A set of ids that many threads fill: shards by the top bits of the hash, each behind its mutex. A slot remembers the
// hash and the entry that brought the id; `same(a, b)` says whether two entries of equal hash hold the same id.
class SharedIdSet {
  public:
    SharedIdSet() : shards_(kShards) {}

    struct Slot {
        std::uint64_t hash;
        std::int64_t entry;
    };

    // Thread-local: ids seen lately, which need not go to the shards again.
    using Recent = std::vector<Slot>;
    static Recent make_recent() { return Recent(kRecent, Slot{0, -1}); }

    template <class Hash, class Same>
    void insert(std::int64_t begin, std::int64_t end, Recent& recent, std::vector<Slot>& batch, Hash hash, Same same) {
        std::int64_t starts[kShards + 1] = {};
        batch.resize(static_cast<std::size_t>(2 * (end - begin)));
        Slot* fresh = batch.data();
        std::int64_t n_fresh = 0;
        for (std::int64_t entry = begin; entry < end; ++entry) {
            const std::uint64_t h = hash(entry);
            Slot& seen = recent[h % kRecent];
            if (seen.entry >= 0 && seen.hash == h && same(seen.entry, entry)) continue;
            seen = {h, entry};
            fresh[n_fresh++] = seen;
            ++starts[shard_of(h) + 1];
        }
        std::partial_sum(starts, starts + kShards + 1, starts);
        Slot* grouped = fresh + n_fresh;
        std::int64_t cursor[kShards];
        std::copy(starts, starts + kShards, cursor);
        for (std::int64_t i = 0; i < n_fresh; ++i) grouped[cursor[shard_of(fresh[i].hash)]++] = fresh[i];
        for (std::size_t s = 0; s < kShards; ++s) {
            if (starts[s] == starts[s + 1]) continue;
            const std::lock_guard<std::mutex> lock(shards_[s].mutex);
            for (std::int64_t i = starts[s]; i < starts[s + 1]; ++i) shards_[s].insert(grouped[i], same);
        }
    }

    // One entry per distinct id.
    std::vector<std::int64_t> entries(std::int64_t limit) const {
        std::int64_t total = 0;
        for (const Shard& shard : shards_) total += shard.count;
        check(total <= limit, "there must be at most ", limit, " distinct ids; got ", total);
        std::vector<std::int64_t> result;
        result.reserve(static_cast<std::size_t>(total));
        for (const Shard& shard : shards_)
            for (const Slot& slot : shard.slots)
                if (slot.entry >= 0) result.push_back(slot.entry);
        return result;
    }

  private:
    static constexpr std::size_t kShards = 64;
    static constexpr std::size_t kRecent = 4096;

    static std::size_t shard_of(std::uint64_t hash) { return hash >> 58; }

    struct Shard {
        std::mutex mutex;
        std::vector<Slot> slots = std::vector<Slot>(64, Slot{0, -1});
        std::int64_t count = 0;

        template <class Same>
        void insert(const Slot& slot, Same same) {
            const std::size_t mask = slots.size() - 1;
            std::size_t at = slot.hash & mask;
            for (; slots[at].entry >= 0; at = (at + 1) & mask)
                if (slots[at].hash == slot.hash && same(slots[at].entry, slot.entry)) return;
            slots[at] = slot;
            if (++count * 10 > static_cast<std::int64_t>(slots.size()) * 7) grow();
        }

        void grow() {
            std::vector<Slot> larger(slots.size() * 2, Slot{0, -1});
            const std::size_t mask = larger.size() - 1;
            for (const Slot& slot : slots) {
                if (slot.entry < 0) continue;
                std::size_t at = slot.hash & mask;
                while (larger[at].entry >= 0) at = (at + 1) & mask;
                larger[at] = slot;
            }
            slots = std::move(larger);
        }
    };

    std::vector<Shard> shards_;
};

// One entry per distinct id of `n`, in no particular order.
template <class Hash, class Same>
std::vector<std::int64_t> distinct_entries(std::int64_t n, std::int64_t limit, int n_threads, Hash hash, Same same) {
    SharedIdSet set;
    const auto threads = static_cast<std::size_t>(resolve_threads(n_threads));
    std::vector<SharedIdSet::Recent> recent(threads);
    std::vector<std::vector<SharedIdSet::Slot>> batch(threads);
    parallel_chunks(n, kGrain, n_threads, [&](std::int64_t begin, std::int64_t end, int thread) {
        const auto t = static_cast<std::size_t>(thread);
        if (recent[t].empty()) recent[t] = SharedIdSet::make_recent();
        set.insert(begin, end, recent[t], batch[t], hash, same);
    });
    return set.entries(limit);
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
    result = distinct_entries(
        n, limit, n_threads, [=](std::int64_t entry) { return hash_integer(ids[entry]); },
        [](std::int64_t, std::int64_t) { return true; });  // mix64 is a bijection: equal hashes are equal ids
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

std::vector<char32_t> unique_strings(const IdArray& ids, std::int64_t limit, int n_threads) {
    const std::int64_t width = ids.width;
    const auto entries = distinct_entries(
        ids.size, limit, n_threads,
        [&](std::int64_t entry) { return hash_text(ids.text(entry), text_length(ids.text(entry), width)); },
        [&](std::int64_t a, std::int64_t b) { return std::equal(ids.text(a), ids.text(a) + width, ids.text(b)); });
    // Gathered first, so that sorting does not walk the whole input.
    std::vector<char32_t> texts(entries.size() * static_cast<std::size_t>(width));
    std::vector<std::int32_t> order(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
        std::copy_n(ids.text(entries[i]), width, texts.data() + static_cast<std::int64_t>(i) * width);
        order[i] = static_cast<std::int32_t>(i);
    }
    const char32_t* unsorted = texts.data();
    parallel_sort(order, n_threads, [=](std::int32_t a, std::int32_t b) {
        return std::lexicographical_compare(unsorted + a * width, unsorted + (a + 1) * width, unsorted + b * width,
                                            unsorted + (b + 1) * width);
    });
    std::vector<char32_t> result(texts.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        std::copy_n(unsorted + order[i] * width, width, result.data() + static_cast<std::int64_t>(i) * width);
    return result;
}

IdIndex::IdIndex(const IdArray& ids) : size_(ids.size), strings_(ids.type == IdArray::Type::ucs4) {
    check(size_ <= kMaxDistinctIds, "there must be at most ", kMaxDistinctIds, " distinct ids; got ", size_);
    if (size_ == 0) return;
    if (strings_)
        index_strings(ids);
    else
        index_integers(ids);
}

void IdIndex::index_integers(const IdArray& ids) {
    check(ids.type == IdArray::Type::int64, "IdIndex: integer ids must have dtype int64");
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
    const std::int64_t capacity = table_capacity(size_);
    slots_.assign(static_cast<std::size_t>(capacity), -1);
    keys_.resize(static_cast<std::size_t>(capacity));
    const auto mask = static_cast<std::uint64_t>(capacity - 1);
    for (std::int64_t i = 0; i < size_; ++i) {
        std::uint64_t at = hash_integer(values[i]) & mask;
        for (; slots_[at] >= 0; at = (at + 1) & mask)
            check(keys_[at] != values[i], "ids must be distinct; got ", values[i], " at positions ", slots_[at],
                  " and ", i);
        slots_[at] = static_cast<std::int32_t>(i);
        keys_[at] = values[i];
    }
}

void IdIndex::index_strings(const IdArray& ids) {
    width_ = ids.width;
    texts_.assign(ids.text(0), ids.text(size_));
    slots_.assign(static_cast<std::size_t>(table_capacity(size_)), -1);
    const std::uint64_t mask = slots_.size() - 1;
    for (std::int64_t i = 0; i < size_; ++i) {
        const char32_t* text = ids.text(i);
        std::uint64_t at = hash_text(text, text_length(text, width_)) & mask;
        for (; slots_[at] >= 0; at = (at + 1) & mask)
            check(!std::equal(text, text + width_, ids.text(slots_[at])),
                  "ids must be distinct; the strings at positions ", slots_[at], " and ", i, " are equal");
        slots_[at] = static_cast<std::int32_t>(i);
    }
}

inline std::int32_t IdIndex::find_integer(std::int64_t id) const {
    const auto offset = static_cast<std::uint64_t>(id) - static_cast<std::uint64_t>(minimum_);
    if (consecutive_) return offset < static_cast<std::uint64_t>(size_) ? static_cast<std::int32_t>(offset) : -1;
    if (!table_.empty()) return offset < table_.size() ? table_[offset] : -1;
    const std::uint64_t mask = slots_.size() - 1;
    for (std::uint64_t at = hash_integer(id) & mask; slots_[at] >= 0; at = (at + 1) & mask)
        if (keys_[at] == id) return slots_[at];
    return -1;
}

std::int32_t IdIndex::find_string(const char32_t* text, std::int64_t width) const {
    const std::uint64_t mask = slots_.size() - 1;
    std::uint64_t at = hash_text(text, text_length(text, width)) & mask;
    for (; slots_[at] >= 0; at = (at + 1) & mask)
        if (same_text(text, width, texts_.data() + slots_[at] * width_, width_)) return slots_[at];
    return -1;
}

template <class Integer>
void IdIndex::encode_integers(const Integer* ids, std::int64_t n, std::int32_t* out) const {
    for (std::int64_t i = 0; i < n; ++i)  // files are often sorted by user: a run of one id is looked up once
        out[i] = i > 0 && ids[i] == ids[i - 1] ? out[i - 1] : find_integer(ids[i]);
}

void IdIndex::encode_strings(const IdArray& ids, std::int64_t begin, std::int64_t end, std::int32_t* out) const {
    for (std::int64_t i = begin; i < end; ++i) {
        const bool repeats = i > begin && std::equal(ids.text(i), ids.text(i + 1), ids.text(i - 1));
        out[i - begin] = repeats ? out[i - begin - 1] : find_string(ids.text(i), ids.width);
    }
}

void IdIndex::encode(const IdArray& ids, std::int64_t begin, std::int64_t end, std::int32_t* out) const {
    if (size_ == 0 || strings_ != (ids.type == IdArray::Type::ucs4))
        std::fill(out, out + (end - begin), -1);
    else if (strings_)
        encode_strings(ids, begin, end, out);
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
