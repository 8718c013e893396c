#include "ingest/bucket_sort.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace fastcf {
namespace {

int bits_for(std::int64_t n) {
    return std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1) - 1));
}

// Sorts n words by the `bits` bits above `low`, least significant digit first, stably. Leaves the result in `words`.
void radix_sort(std::vector<std::uint64_t>& words, std::vector<std::uint64_t>& other, std::int64_t n, int low,
                int bits) {
    constexpr int kMaxDigit = 11;  // 2048 counters of 4 bytes share the first-level cache with the write streams
    if (bits == 0) return;
    const int n_passes = (bits + kMaxDigit - 1) / kMaxDigit;
    const int digit = (bits + n_passes - 1) / n_passes;
    const std::uint64_t mask = (std::uint64_t{1} << digit) - 1;
    other.resize(words.size());
    std::uint32_t offsets[1 << kMaxDigit];
    for (int pass = 0; pass < n_passes; ++pass) {
        const int shift = low + pass * digit;
        std::fill(offsets, offsets + mask + 1, 0U);
        for (std::int64_t i = 0; i < n; ++i) ++offsets[words[static_cast<std::size_t>(i)] >> shift & mask];
        std::uint32_t position = 0;
        for (std::uint64_t d = 0; d <= mask; ++d) position += std::exchange(offsets[d], position);
        const std::uint64_t* from = words.data();
        std::uint64_t* to = other.data();
        for (std::int64_t i = 0; i < n; ++i) to[offsets[from[i] >> shift & mask]++] = from[i];
        words.swap(other);
    }
}

}  // namespace

BucketSorter::BucketSorter(const CsrArrays& arrays, std::int64_t n_items, Duplicates duplicates)
    : arrays_(arrays), duplicates_(duplicates), item_bits_(bits_for(n_items)) {}

void BucketSorter::count_rows(const Bucket& bucket) {
    const std::int64_t n = bucket.end - bucket.begin;
    rows_.assign(static_cast<std::size_t>(bucket.n_users) + 1, 0);
    if (bucket.local_users == nullptr) {
        for (std::int64_t u = 1; u < bucket.n_users; ++u)  // the first user's offset belongs to the bucket before
            rows_[static_cast<std::size_t>(u)] = arrays_.indptr[bucket.first_user + u] - bucket.begin;
        rows_.back() = n;
        return;
    }
    for (std::int64_t i = 0; i < n; ++i) ++rows_[bucket.local_users[i] + std::size_t{1}];
    std::partial_sum(rows_.begin(), rows_.end(), rows_.begin());
}

bool BucketSorter::is_sorted(const Bucket& bucket) const {
    if (bucket.local_users != nullptr) return bucket.end - bucket.begin <= 1;
    const std::int32_t* items = arrays_.indices + bucket.begin;
    for (std::size_t u = 0; u + 1 < rows_.size(); ++u)
        for (std::int64_t i = rows_[u] + 1; i < rows_[u + 1]; ++i)
            if (items[i - 1] >= items[i]) return false;
    return true;
}

// Calls visit(entry of the bucket, local user and item as one number).
template <class Visit>
void BucketSorter::for_each_key(const Bucket& bucket, Visit visit) const {
    const std::int32_t* items = arrays_.indices + bucket.begin;
    const auto key = [&](std::uint64_t user, std::int64_t i) {
        return user << item_bits_ | static_cast<std::uint64_t>(items[i]);
    };
    if (bucket.local_users != nullptr) {
        for (std::int64_t i = 0; i < bucket.end - bucket.begin; ++i) visit(i, key(bucket.local_users[i], i));
        return;
    }
    for (std::size_t u = 0; u + 1 < rows_.size(); ++u)
        for (std::int64_t i = rows_[u]; i < rows_[u + 1]; ++i) visit(i, key(u, i));
}

// Key and position share a word, so that the sort moves 8 bytes per entry.
void BucketSorter::sort_packed(const Bucket& bucket, int key_bits, int position_bits) {
    const std::int64_t n = bucket.end - bucket.begin;
    keys_.resize(static_cast<std::size_t>(n));
    for_each_key(bucket, [&](std::int64_t i, std::uint64_t key) {
        keys_[static_cast<std::size_t>(i)] = key << position_bits | static_cast<std::uint64_t>(i);
    });
    constexpr std::int64_t kRadixPays = 512;
    constexpr std::int64_t kCounterLimit = std::int64_t{1} << 32;
    if (n >= kRadixPays && n < kCounterLimit)
        radix_sort(keys_, other_, n, position_bits, key_bits);
    else
        std::sort(keys_.begin(), keys_.end());
}

// The rare bucket whose keys and positions do not fit one word: keys end in keys_, positions in other_.
void BucketSorter::sort_pairs(const Bucket& bucket) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs(static_cast<std::size_t>(bucket.end - bucket.begin));
    for_each_key(bucket, [&](std::int64_t i, std::uint64_t key) {
        pairs[static_cast<std::size_t>(i)] = {key, static_cast<std::uint64_t>(i)};
    });
    std::sort(pairs.begin(), pairs.end());
    keys_.resize(pairs.size());
    other_.resize(pairs.size());
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        keys_[i] = pairs[i].first;
        other_[i] = pairs[i].second;
    }
}

// Writes the entries in sorted order, equal keys merged; `key(i)` and `position(i)` describe the i-th.
template <class Key, class Position>
std::int64_t BucketSorter::write(const Bucket& bucket, Key key, Position position) {
    const std::int64_t n = bucket.end - bucket.begin;
    const std::uint64_t item_mask = (std::uint64_t{1} << item_bits_) - 1;
    values_.assign(arrays_.values + bucket.begin, arrays_.values + bucket.end);
    if (arrays_.weights != nullptr) weights_.assign(arrays_.weights + bucket.begin, arrays_.weights + bucket.end);
    if (arrays_.timestamps != nullptr)
        timestamps_.assign(arrays_.timestamps + bucket.begin, arrays_.timestamps + bucket.end);
    std::int64_t to = bucket.begin;
    for (std::int64_t i = 0, next = 0; i < n; i = next, ++to) {
        for (next = i + 1; next < n && key(next) == key(i); ++next) found_duplicates_ = true;
        if (duplicates_ == Duplicates::error) next = i + 1;
        auto last = static_cast<std::size_t>(position(next - 1));
        const bool by_time = duplicates_ == Duplicates::latest;
        if (by_time || duplicates_ == Duplicates::max) {
            for (std::int64_t k = next - 2; k >= i; --k) {
                const auto p = static_cast<std::size_t>(position(k));
                if (by_time ? timestamps_[p] > timestamps_[last] : values_[p] > values_[last]) last = p;
            }
        }
        arrays_.indices[to] = static_cast<std::int32_t>(key(i) & item_mask);
        arrays_.values[to] = values_[last];
        if (arrays_.weights != nullptr) arrays_.weights[to] = weights_[last];
        if (arrays_.timestamps != nullptr) arrays_.timestamps[to] = timestamps_[last];
        if (next == i + 1) continue;
        arrays_.indptr[bucket.first_user + static_cast<std::int64_t>(key(i) >> item_bits_) + 1] -= next - i - 1;
        if (duplicates_ != Duplicates::mean && duplicates_ != Duplicates::sum) continue;
        const auto count = static_cast<double>(next - i);
        double sum = 0, weight_sum = 0, weighted_sum = 0;
        for (std::int64_t k = i; k < next; ++k) {
            const auto p = static_cast<std::size_t>(position(k));
            sum += values_[p];
            if (arrays_.weights != nullptr) {
                weight_sum += weights_[p];
                weighted_sum += static_cast<double>(weights_[p]) * values_[p];
            }
            if (arrays_.timestamps != nullptr)
                arrays_.timestamps[to] = std::max(arrays_.timestamps[to], timestamps_[p]);
        }
        const bool averages = duplicates_ == Duplicates::mean;
        const double mean = weight_sum > 0 ? weighted_sum / weight_sum : sum / count;
        arrays_.values[to] = static_cast<float>(averages ? mean : sum);
        if (arrays_.weights != nullptr)
            arrays_.weights[to] = static_cast<float>(averages ? weight_sum : weight_sum / count);
    }
    return to - bucket.begin;
}

std::int64_t BucketSorter::sort(const Bucket& bucket) {
    const std::int64_t n = bucket.end - bucket.begin;
    count_rows(bucket);
    for (std::int64_t u = 0; u < bucket.n_users; ++u)
        arrays_.indptr[bucket.first_user + u + 1] =
            rows_[static_cast<std::size_t>(u) + 1] - rows_[static_cast<std::size_t>(u)];
    if (is_sorted(bucket)) return n;
    const int key_bits = bits_for(bucket.n_users) + item_bits_;
    const int position_bits = bits_for(n);
    if (key_bits + position_bits <= 64) {
        sort_packed(bucket, key_bits, position_bits);
        const std::uint64_t mask = (std::uint64_t{1} << position_bits) - 1;
        return write(
            bucket, [&](std::int64_t i) { return keys_[static_cast<std::size_t>(i)] >> position_bits; },
            [&](std::int64_t i) { return keys_[static_cast<std::size_t>(i)] & mask; });
    }
    sort_pairs(bucket);
    return write(
        bucket, [&](std::int64_t i) { return keys_[static_cast<std::size_t>(i)]; },
        [&](std::int64_t i) { return other_[static_cast<std::size_t>(i)]; });
}

}  // namespace fastcf
