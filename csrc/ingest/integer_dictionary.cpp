#include "ingest/integer_dictionary.h"

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "core/mix64.h"
#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr std::int64_t kGrain = 1 << 15;     // ids per task
constexpr std::int64_t kAhead = 32;          // slots prefetched
constexpr std::int64_t kSmallIds = 1 << 22;  // ids below it are looked up in an array
constexpr std::size_t kFirstSlots = 1 << 10;

}  // namespace

void IntegerDictionary::encode(const IdArray& ids, std::int32_t* out, int n_threads) {
    if (ids.type == IdArray::Type::int32)
        encode_integers(static_cast<const std::int32_t*>(ids.data), ids.size, out, n_threads);
    else
        encode_integers(static_cast<const std::int64_t*>(ids.data), ids.size, out, n_threads);
}

template <class Integer>
void IntegerDictionary::encode_integers(const Integer* ids, std::int64_t n, std::int32_t* out, int n_threads) {
    if (slots_.empty()) slots_.assign(kFirstSlots, Slot{0, -1});
    std::vector<std::uint8_t> unknown(static_cast<std::size_t>((n + kGrain - 1) / kGrain));
    parallel_chunks(n, kGrain, threads_for(n, n_threads), [&](std::int64_t begin, std::int64_t end, int) {
        unknown[static_cast<std::size_t>(begin / kGrain)] = !look_up(ids + begin, end - begin, out + begin);
    });
    for (std::size_t chunk = 0; chunk < unknown.size(); ++chunk) {
        if (unknown[chunk] == 0) continue;
        const std::int64_t begin = static_cast<std::int64_t>(chunk) * kGrain;
        const std::int64_t end = std::min(n, begin + kGrain);
        for (std::int64_t i = begin; i < end; ++i)
            if (out[i] < 0) out[i] = number_of(ids[i]);
    }
}

// Whether all are known.
template <class Integer>
bool IntegerDictionary::look_up(const Integer* ids, std::int64_t n, std::int32_t* out) const {
    const auto n_small = static_cast<std::uint64_t>(small_.size());
    std::size_t at[kAhead];
    std::int32_t least = 0;
    for (std::int64_t begin = 0; begin < n; begin += kAhead) {
        const std::int64_t count = std::min(kAhead, n - begin);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t id = ids[begin + i];
            if (static_cast<std::uint64_t>(id) < n_small) continue;
            at[i] = mix64(static_cast<std::uint64_t>(id)) & (slots_.size() - 1);
            __builtin_prefetch(slots_.data() + at[i]);
        }
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t id = ids[begin + i];
            std::int32_t number;
            if (static_cast<std::uint64_t>(id) < n_small) {
                number = small_[static_cast<std::size_t>(id)];
            } else {
                std::size_t slot = at[i];
                while (slots_[slot].number >= 0 && slots_[slot].id != id) slot = (slot + 1) & (slots_.size() - 1);
                number = slots_[slot].number;
            }
            out[begin + i] = number;
            least = std::min(least, number);
        }
    }
    return least >= 0;
}

// The slot of an id, or the empty one where it belongs.
std::size_t IntegerDictionary::slot_of(std::int64_t id) const {
    std::size_t slot = mix64(static_cast<std::uint64_t>(id)) & (slots_.size() - 1);
    while (slots_[slot].number >= 0 && slots_[slot].id != id) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
}

// The number of an id, a new one where it has none.
std::int32_t IntegerDictionary::number_of(std::int64_t id) {
    const auto next = static_cast<std::int32_t>(ids_.size());
    std::int32_t* number = nullptr;
    if (id >= 0 && id < kSmallIds) {
        const auto place = static_cast<std::size_t>(id);
        if (place >= small_.size())
            small_.resize(std::min(std::bit_ceil(place + 1), static_cast<std::size_t>(kSmallIds)), -1);
        number = &small_[place];
    } else {
        Slot& slot = slots_[slot_of(id)];
        slot.id = id;
        number = &slot.number;
    }
    if (*number >= 0) return *number;
    check(next < kMaxDistinctIds, "IntegerDictionary: there must be at most ", kMaxDistinctIds, " distinct ids");
    *number = next;
    ids_.push_back(id);
    if (id < 0 || id >= kSmallIds)
        if (2 * ++n_slots_taken_ > static_cast<std::int64_t>(slots_.size())) grow();
    return next;
}

void IntegerDictionary::grow() {
    std::vector<Slot> old(slots_.size() * 2, Slot{0, -1});
    old.swap(slots_);
    for (const Slot& slot : old)
        if (slot.number >= 0) slots_[slot_of(slot.id)] = slot;
}

}  // namespace fastcf
