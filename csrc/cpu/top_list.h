// The n best (score, index) pairs of a stream: a buffer with room for more than n, cut back to the n best whenever it
// is full. Adding costs O(1) amortised for any n, which a heap does not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "math/order.h"

namespace fastcf {

// Moves the n largest of `size` distinct keys to the front, 1 <= n <= size, and returns the smallest of them.
// Quickselect whose partition has no branch on the data: keys here are random, a mispredicted branch would cost more
// than the swap. Orders that defeat its pivots are left to std::nth_element.
inline std::uint64_t select_largest(std::uint64_t* keys, std::int64_t size, std::int64_t n) {
    std::int64_t begin = 0, end = size;
    for (int rounds = 0; size > n; ++rounds) {
        if (rounds == 32) {
            std::nth_element(keys + begin, keys + (n - 1), keys + end, std::greater<>());
            break;
        }
        const std::uint64_t a = keys[begin], b = keys[begin + (end - begin) / 2], c = keys[end - 1];
        const std::uint64_t pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));  // median of three
        std::swap(keys[begin], pivot == a ? keys[begin] : pivot == b ? keys[begin + (end - begin) / 2] : keys[end - 1]);
        std::int64_t larger = begin;  // keys[begin + 1 .. larger] are above the pivot
        for (std::int64_t i = begin + 1; i < end; ++i) {
            const std::uint64_t key = keys[i];
            keys[i] = keys[larger + 1];
            keys[larger + 1] = key;
            larger += key > pivot ? 1 : 0;
        }
        std::swap(keys[begin], keys[larger]);
        if (larger == n || larger + 1 == n) break;
        (larger > n ? end : begin) = larger > n ? larger : larger + 1;
    }
    return *std::min_element(keys, keys + n);
}

class TopList {
  public:
    // How many keys the buffer must hold to keep the n best of a stream of at most `stream` pairs.
    static std::int64_t capacity_for(std::int64_t n, std::int64_t stream) {
        return std::min(stream, n + std::max<std::int64_t>(n / 2, kSlack)) + 1;
    }

    TopList() = default;
    TopList(std::uint64_t* buffer, std::int64_t capacity, std::int64_t n)
        : buffer_(buffer), capacity_(capacity), n_(n) {}

    // Keys at or below it no longer enter.
    std::uint64_t floor() const { return floor_; }
    // A score enters only if it is greater.
    float threshold() const { return floor_ == kNoRank ? -std::numeric_limits<float>::infinity() : rank_score(floor_); }

    void push(std::uint64_t key) {
        buffer_[size_++] = key;
        if (size_ == capacity_) cut();
    }

    // Keeps the n best, unordered; returns how many there are.
    std::int64_t cut() {
        if (size_ >= n_ && n_ > 0) {
            floor_ = select_largest(buffer_, size_, n_);
            size_ = n_;
        }
        return size_;
    }

    // Keeps the n best in order; returns how many there are.
    std::int64_t finish() {
        cut();
        std::sort(buffer_, buffer_ + size_, std::greater<>());
        return size_;
    }

  private:
    static constexpr std::int64_t kSlack = 16;

    std::uint64_t* buffer_ = nullptr;
    std::int64_t capacity_ = 0;
    std::int64_t n_ = 0;
    std::int64_t size_ = 0;
    std::uint64_t floor_ = kNoRank;
};

}  // namespace fastcf
