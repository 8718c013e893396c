// A log of events to one entry per (user, item): summed strengths that decay with age, and the last time. The log comes
// in batches and is never in memory as a whole.
//
// Structure. Users are dealt into 256 partitions, each a hash table of pairs. Its slots are in the order of the pairs'
// hashes (linear probing; slot = hash x capacity / 2^64), so that growing is one pass over memory. Up to a
// million events are kept, dealt into partitions in the order of the stream, and added by one thread per partition:
// sums run in double, in the order of the stream, whatever the number of threads and the sizes of batches.
//
// Decay. Each sum is relative to the pair's own last event: a newer event decays the sum, an older one is decayed, and
// `to_csr` decays each pair once, to `now`. Nothing overflows, however short the half life, and `now` need not be known
// before the end.
//
// Cost. Memory: 24 bytes per pair at a load of at most 0.8; tables double up to 200 MB in all, and then grow by a
// quarter, so that there are 30 to 38 bytes per pair; 48 MiB for kept events. `to_csr` frees the table of a partition
// before the next one is written. Time per event: about 100 bytes of streaming (kept, dealt) and one slot that is
// prefetched, a cache miss where the table exceeds the caches; an exponential where there is a half life and the pair
// is not new. Growing by a quarter copies each pair four to five times in all.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/aligned.h"
#include "core/view.h"

namespace fastcf {

// n events. `kinds` null: all are of kind 0; `times` null: without times; `durations` null: none is known.
struct EventBatch {
    const std::int32_t* users = nullptr;
    const std::int32_t* items = nullptr;
    const std::int32_t* kinds = nullptr;
    const std::int64_t* times = nullptr;
    const double* durations = nullptr;  // NaN where unknown
    std::int64_t n = 0;
};

// How strong an event is, by kind: finite numbers of at least 0. 0: the item was shown, and not chosen by this event.
struct EventStrengths {
    const double* of_kinds = nullptr;  // (n_kinds, 3): of unknown duration, shorter than `least_duration`, not shorter
    std::int64_t n_kinds = 0;
    double least_duration = 0.0;

    double of(std::int32_t kind, double duration) const {
        const int column = duration >= least_duration ? 2 : duration < least_duration ? 1 : 0;
        return of_kinds[3 * static_cast<std::int64_t>(kind) + column];
    }
};

// Arrays of `size()` entries (n_users + 1 for indptr); timestamps null where nobody wants them.
struct EventRows {
    std::int64_t* indptr = nullptr;
    std::int32_t* indices = nullptr;
    float* values = nullptr;
    std::int64_t* timestamps = nullptr;
};

class EventTable {
  public:
    // The age at which an event counts half, in the unit of the times; 0: all count alike.
    explicit EventTable(double half_life);

    // Throws where a number is out of range; an object that has thrown must not be used further.
    void add(const EventBatch& batch, const EventStrengths& strengths, int n_threads);

    // Number of pairs. Adds what is kept first.
    std::int64_t size(int n_threads);
    // The time of the latest event; the smallest integer where there is none with a time.
    std::int64_t latest() const { return latest_; }

    // Empties the table into rows by user: user u's row is user_rows[u], item i's column is item_rows[i]; columns
    // ascend within a row. A value is the sum of strengths, each halved for every half life from its event to `now`; 0
    // where the item was only shown, else at least the smallest normal float. The time is that of the last event that
    // was strong, or of the last showing where none was. Sums beyond float are infinite.
    void to_csr(VectorView<const std::int32_t> user_rows, VectorView<const std::int32_t> item_rows,
                std::int64_t n_users, std::int64_t n_items, std::int64_t now, int n_threads, const EventRows& out);

  private:
    struct Event {
        std::uint64_t pair;
        std::int64_t time;
        double strength;
    };
    struct Slot {
        std::uint64_t pair;  // kEmpty where there is none
        std::int64_t time;
        double sum;  // at `time`; 0 where the item was only shown
    };
    struct Partition {
        std::vector<Slot> slots;
        std::int64_t size = 0;
    };
    struct Entry {
        std::int32_t column;
        float value;
        std::int64_t time;
    };

    void flush(int n_threads);
    void reserve(Partition& partition, std::int64_t more) const;
    static std::size_t find(const std::vector<Slot>& slots, std::uint64_t pair, std::size_t at);
    void add_events(Partition& partition, const Event* events, std::int64_t n) const;
    void merge(Slot& slot, const Event& event) const;
    double remaining(std::int64_t from, std::int64_t to) const;
    float value_of(const Slot& slot, std::int64_t now) const;

    double rate_;  // halvings per unit of time
    std::vector<Partition> partitions_;
    AlignedBuffer<Event> kept_;
    AlignedBuffer<Event> dealt_;
    std::int64_t n_kept_ = 0;
    std::int32_t last_user_ = -1;
    std::int32_t last_item_ = -1;
    std::int64_t latest_ = std::numeric_limits<std::int64_t>::min();
};

}  // namespace fastcf
