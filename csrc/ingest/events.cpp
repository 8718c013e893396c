#include "ingest/events.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "core/mix64.h"
#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr int kPartitionBits = 8;
constexpr std::int64_t kPartitions = std::int64_t{1} << kPartitionBits;
constexpr std::int64_t kRound = std::int64_t{1} << 20;  // events kept before they are added
constexpr std::int64_t kChunk = std::int64_t{1} << 16;  // events dealt by a task
constexpr std::int64_t kAhead = 32;                     // slots prefetched
constexpr std::size_t kDoubled = std::size_t{1} << 15;  // slots up to which a table doubles: 0.8 MB
constexpr std::uint64_t kEmpty = ~std::uint64_t{0};     // no pair: numbers are not negative

std::uint64_t pair_of(std::int32_t user, std::int32_t item) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(user)) << 32 | static_cast<std::uint32_t>(item);
}
std::int32_t user_of(std::uint64_t pair) {
    return static_cast<std::int32_t>(pair >> 32);
}
std::int32_t item_of(std::uint64_t pair) {
    return static_cast<std::int32_t>(pair & 0xffffffffU);
}
// Users are numbered as they appear, so their last bits spread them evenly.
std::int64_t partition_of(std::uint64_t pair) {
    return user_of(pair) & (kPartitions - 1);
}

std::size_t slot_of(std::uint64_t pair, std::size_t capacity) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>((static_cast<Wide>(mix64(pair)) * capacity) >> 64);
}

std::int64_t largest_size(std::size_t capacity) {
    return static_cast<std::int64_t>(capacity / 5 * 4);
}

// Rows for the numbers up to `last`, distinct and within [0, n).
void check_rows(VectorView<const std::int32_t> rows, std::int32_t last, std::int64_t n, const char* name) {
    const char* const caller = "EventTable.to_csr";
    check(last < rows.size, caller, ": ", name, " must have more than ", last, " entries; got ", rows.size);
    std::vector<bool> taken(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < rows.size; ++i) {
        check(rows[i] >= 0 && rows[i] < n, caller, ": ", name, " must lie in [0, ", n, "); got ", rows[i]);
        check(!taken[static_cast<std::size_t>(rows[i])], caller, ": ", name, " must differ; got ", rows[i], " twice");
        taken[static_cast<std::size_t>(rows[i])] = true;
    }
}

}  // namespace

EventTable::EventTable(double half_life)
    : rate_(half_life == 0.0 ? 0.0 : 1.0 / half_life), partitions_(static_cast<std::size_t>(kPartitions)) {
    check(std::isfinite(half_life) && half_life >= 0.0 && std::isfinite(rate_),
          "EventTable: half_life must be a positive finite number, or 0 for none; got ", half_life);
}

double EventTable::remaining(std::int64_t from, std::int64_t to) const {
    return std::exp2((static_cast<double>(from) - static_cast<double>(to)) * rate_);
}

void EventTable::add(const EventBatch& batch, const EventStrengths& strengths, int n_threads) {
    if (kept_.size() == 0) {
        kept_ = AlignedBuffer<Event>(kRound);
        dealt_ = AlignedBuffer<Event>(kRound);
    }
    struct Found {
        std::int32_t user = -1;
        std::int32_t item = -1;
        std::int64_t time = std::numeric_limits<std::int64_t>::min();
    };
    for (std::int64_t begin = 0; begin < batch.n;) {
        const std::int64_t n = std::min(kRound - n_kept_, batch.n - begin);
        std::vector<Found> found(static_cast<std::size_t>((n + kChunk - 1) / kChunk));
        parallel_chunks(n, kChunk, threads_for(n, n_threads), [&](std::int64_t from, std::int64_t to, int) {
            Found mine;
            Event* out = kept_.data() + n_kept_;
            for (std::int64_t i = from; i < to; ++i) {
                const std::int64_t e = begin + i;
                const std::int32_t kind = batch.kinds == nullptr ? 0 : batch.kinds[e];
                check(batch.users[e] >= 0, "EventTable: user numbers must not be negative; got ", batch.users[e],
                      " at entry ", e);
                check(batch.items[e] >= 0, "EventTable: item numbers must not be negative; got ", batch.items[e],
                      " at entry ", e);
                check(kind >= 0 && kind < strengths.n_kinds, "EventTable: kinds must lie in [0, ", strengths.n_kinds,
                      "); got ", kind, " at entry ", e);
                const double duration = batch.durations == nullptr ? std::nan("") : batch.durations[e];
                const std::int64_t time = batch.times == nullptr ? 0 : batch.times[e];
                out[i] = {pair_of(batch.users[e], batch.items[e]), time, strengths.of(kind, duration)};
                mine.user = std::max(mine.user, batch.users[e]);
                mine.item = std::max(mine.item, batch.items[e]);
                if (batch.times != nullptr) mine.time = std::max(mine.time, time);
            }
            found[static_cast<std::size_t>(from / kChunk)] = mine;
        });
        for (const Found& one : found) {
            last_user_ = std::max(last_user_, one.user);
            last_item_ = std::max(last_item_, one.item);
            latest_ = std::max(latest_, one.time);
        }
        n_kept_ += n;
        begin += n;
        if (n_kept_ == kRound) flush(n_threads);
    }
}

void EventTable::flush(int n_threads) {
    const std::int64_t n = n_kept_;
    const int threads = threads_for(n, n_threads);
    const std::int64_t n_chunks = (n + kChunk - 1) / kChunk;
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(n_chunks * kPartitions));
    parallel_chunks(n, kChunk, threads, [&](std::int64_t from, std::int64_t to, int) {
        std::int64_t* count = offsets.data() + from / kChunk * kPartitions;
        for (std::int64_t i = from; i < to; ++i) ++count[partition_of(kept_[i].pair)];
    });
    std::vector<std::int64_t> starts(static_cast<std::size_t>(kPartitions) + 1);
    std::int64_t position = 0;
    for (std::int64_t p = 0; p < kPartitions; ++p) {
        starts[static_cast<std::size_t>(p)] = position;
        for (std::int64_t chunk = 0; chunk < n_chunks; ++chunk) {
            std::int64_t& offset = offsets[static_cast<std::size_t>(chunk * kPartitions + p)];
            position += std::exchange(offset, position);
        }
    }
    starts.back() = position;
    parallel_chunks(n, kChunk, threads, [&](std::int64_t from, std::int64_t to, int) {
        std::int64_t* offset = offsets.data() + from / kChunk * kPartitions;
        for (std::int64_t i = from; i < to; ++i) dealt_[offset[partition_of(kept_[i].pair)]++] = kept_[i];
    });
    parallel_for(kPartitions, threads, [&](std::int64_t p, int) {
        const std::int64_t begin = starts[static_cast<std::size_t>(p)];
        const std::int64_t count = starts[static_cast<std::size_t>(p) + 1] - begin;
        add_events(partitions_[static_cast<std::size_t>(p)], dealt_.data() + begin, count);
    });
    n_kept_ = 0;
}

// Makes room for so many further pairs. Slots are in the order of hashes, and stay so: a pass.
void EventTable::reserve(Partition& partition, std::int64_t more) const {
    std::vector<Slot>& slots = partition.slots;
    std::size_t capacity = slots.size();
    while (partition.size + more > largest_size(capacity))
        capacity += capacity < kDoubled ? std::max<std::size_t>(capacity, 64) : capacity / 4;
    if (capacity == slots.size()) return;
    std::vector<Slot> larger(capacity, Slot{kEmpty, 0, 0.0});
    for (const Slot& slot : slots)
        if (slot.pair != kEmpty) larger[find(larger, slot.pair, slot_of(slot.pair, capacity))] = slot;
    slots.swap(larger);
}

// The slot of a pair, or the empty one where it belongs, at or behind `at`. There is an empty one.
std::size_t EventTable::find(const std::vector<Slot>& slots, std::uint64_t pair, std::size_t at) {
    while (slots[at].pair != pair && slots[at].pair != kEmpty)
        if (++at == slots.size()) at = 0;
    return at;
}

void EventTable::add_events(Partition& partition, const Event* events, std::int64_t n) const {
    std::size_t at[kAhead];
    for (std::int64_t begin = 0; begin < n; begin += kAhead) {
        const std::int64_t count = std::min(kAhead, n - begin);
        reserve(partition, count);
        std::vector<Slot>& slots = partition.slots;
        for (std::int64_t i = 0; i < count; ++i) {
            at[i] = slot_of(events[begin + i].pair, slots.size());
            __builtin_prefetch(slots.data() + at[i]);
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const Event& event = events[begin + i];
            Slot& slot = slots[find(slots, event.pair, at[i])];
            if (slot.pair == kEmpty) {
                slot = {event.pair, event.time, event.strength};
                ++partition.size;
            } else {
                merge(slot, event);
            }
        }
    }
}

void EventTable::merge(Slot& slot, const Event& event) const {
    if ((event.strength > 0.0) != (slot.sum > 0.0)) {  // a choice, and being shown
        if (event.strength > 0.0) slot = {event.pair, event.time, event.strength};
        return;
    }
    if (rate_ == 0.0 || event.time == slot.time) {
        slot.sum += event.strength;
        slot.time = std::max(slot.time, event.time);
    } else if (event.time < slot.time) {
        slot.sum += event.strength * remaining(event.time, slot.time);
    } else {
        slot.sum = slot.sum * remaining(slot.time, event.time) + event.strength;
        slot.time = event.time;
    }
}

std::int64_t EventTable::size(int n_threads) {
    flush(n_threads);
    std::int64_t total = 0;
    for (const Partition& partition : partitions_) total += partition.size;
    return total;
}

float EventTable::value_of(const Slot& slot, std::int64_t now) const {
    if (slot.sum == 0.0) return 0.0f;
    const double value = rate_ == 0.0 ? slot.sum : slot.sum * remaining(slot.time, now);
    return std::max(static_cast<float>(value), std::numeric_limits<float>::min());  // however old, it was a choice
}

void EventTable::to_csr(VectorView<const std::int32_t> user_rows, VectorView<const std::int32_t> item_rows,
                        std::int64_t n_users, std::int64_t n_items, std::int64_t now, int n_threads,
                        const EventRows& out) {
    flush(n_threads);
    check_rows(user_rows, last_user_, n_users, "user_rows");
    check_rows(item_rows, last_item_, n_items, "item_rows");
    std::fill(out.indptr, out.indptr + n_users + 1, 0);
    std::int64_t* const sizes = out.indptr + 1;
    parallel_for(kPartitions, n_threads, [&](std::int64_t p, int) {  // rows of different partitions differ
        for (const Slot& slot : partitions_[static_cast<std::size_t>(p)].slots)
            if (slot.pair != kEmpty) ++sizes[user_rows[user_of(slot.pair)]];
    });
    std::partial_sum(sizes, sizes + n_users, sizes);

    parallel_for(kPartitions, n_threads, [&](std::int64_t p, int) {
        const Partition partition = std::exchange(partitions_[static_cast<std::size_t>(p)], Partition());
        std::vector<std::int64_t> starts(1, 0);  // of the partition's users, in `entries`
        for (std::int64_t user = p; user < user_rows.size; user += kPartitions)
            starts.push_back(starts.back() + out.indptr[user_rows[user] + 1] - out.indptr[user_rows[user]]);
        std::vector<Entry> entries(static_cast<std::size_t>(partition.size));
        std::vector<std::int64_t> ends(starts);
        for (const Slot& slot : partition.slots) {
            if (slot.pair == kEmpty) continue;
            std::int64_t& end = ends[static_cast<std::size_t>(user_of(slot.pair) >> kPartitionBits)];
            entries[static_cast<std::size_t>(end++)] = {item_rows[item_of(slot.pair)], value_of(slot, now), slot.time};
        }
        for (std::size_t local = 0; local + 1 < starts.size(); ++local) {
            const auto begin = entries.begin() + starts[local];
            const auto end = entries.begin() + starts[local + 1];
            std::sort(begin, end, [](const Entry& a, const Entry& b) { return a.column < b.column; });
            std::int64_t to = out.indptr[user_rows[static_cast<std::int64_t>(local) * kPartitions + p]];
            for (auto entry = begin; entry != end; ++entry, ++to) {
                out.indices[to] = entry->column;
                out.values[to] = entry->value;
                if (out.timestamps != nullptr) out.timestamps[to] = entry->time;
            }
        }
    });
}

}  // namespace fastcf
