// What `bulkhead spool --wait` waits for: numbers of messages per queue.  Text in, a
// yes or no for given counts out.
#pragma once

#include "base/result.h"
#include "spool/paths.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace bulkhead
{

// Complete messages in each queue, of one environment or of several together.
struct QueueCounts {
    std::array<std::size_t, message_queues.size()> messages{}; // in the order of message_queues

    std::size_t& of(Queue queue);
    std::size_t of(Queue queue) const { return const_cast<QueueCounts*>(this)->of(queue); }
    std::size_t total() const;
    QueueCounts& operator+=(const QueueCounts& more);
    bool operator==(const QueueCounts&) const = default;
};

class WaitCondition
{
public:
    // "deferred=1,active=0": comparisons = >= <= > < of a queue's name or `total` with a
    // number, commas between; all must hold.  Fault::malformed with a reason for people.
    static Result<WaitCondition> parse(std::string_view text);

    bool holds(const QueueCounts& counts) const;

private:
    enum class Comparison { equal, at_least, at_most, more, less };
    struct Term {
        std::optional<Queue> queue; // nullopt: total
        Comparison comparison{};
        std::size_t number = 0;
    };
    static Result<Term> parse_term(std::string_view text);

    std::vector<Term> terms_;
};

} // namespace bulkhead
