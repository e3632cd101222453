#include "wait_condition.h"

#include "base/text.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace bulkhead
{

static constexpr std::size_t max_terms = 32;

std::size_t& QueueCounts::of(Queue queue)
{
    const auto found = std::find(message_queues.begin(), message_queues.end(), queue);
    ensure(found != message_queues.end(), "counts are of queues that hold messages");
    return messages[static_cast<std::size_t>(found - message_queues.begin())];
}

std::size_t QueueCounts::total() const
{
    return std::accumulate(messages.begin(), messages.end(), std::size_t{0});
}

QueueCounts& QueueCounts::operator+=(const QueueCounts& more)
{
    for (std::size_t i = 0; i < messages.size(); ++i)
        messages[i] += more.messages[i];
    return *this;
}

Result<WaitCondition::Term> WaitCondition::parse_term(std::string_view text)
{
    const std::size_t at = text.find_first_of("=<>");
    if (at == std::string_view::npos)
        return Error{Fault::malformed, fmt::format("\"{}\" has no comparison (= >= <= > <)", text)};
    const std::string_view name = trim(text.substr(0, at));
    const std::size_t behind = std::min(text.find_first_not_of("=<>", at), text.size());
    const std::string_view sign = text.substr(at, behind - at);

    Term term;
    if (name != "total") {
        term.queue = queue_from_name(name);
        const auto known = std::find(message_queues.begin(), message_queues.end(), term.queue);
        if (!term.queue || known == message_queues.end())
            return Error{
                Fault::malformed,
                fmt::format("\"{}\" is no queue (maildrop incoming active deferred hold corrupt total)",
                            name)};
    }
    if (sign == "=" || sign == "==")
        term.comparison = Comparison::equal;
    else if (sign == ">=")
        term.comparison = Comparison::at_least;
    else if (sign == "<=")
        term.comparison = Comparison::at_most;
    else if (sign == ">")
        term.comparison = Comparison::more;
    else if (sign == "<")
        term.comparison = Comparison::less;
    else
        return Error{Fault::malformed, fmt::format("\"{}\" is no comparison (= >= <= > <)", sign)};

    const std::string_view digits = trim(text.substr(behind));
    const auto number = parse_unsigned(digits);
    if (!number)
        return Error{Fault::malformed, fmt::format("\"{}\" is no number", digits)};
    term.number = *number;
    return term;
}

Result<WaitCondition> WaitCondition::parse(std::string_view text)
{
    WaitCondition condition;
    std::string_view rest = text;
    for (bool more = true; more;) {
        const std::size_t comma = rest.find(',');
        const std::string_view part = trim(rest.substr(0, comma));
        if (part.empty())
            return Error{Fault::malformed, fmt::format("\"{}\": a condition is missing", text)};
        if (condition.terms_.size() == max_terms)
            return Error{Fault::malformed, "too many conditions"};
        TRY(const Term term, parse_term(part));
        condition.terms_.push_back(term);
        more = comma != std::string_view::npos;
        if (more)
            rest.remove_prefix(comma + 1);
    }
    return condition;
}

bool WaitCondition::holds(const QueueCounts& counts) const
{
    return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
        const std::size_t seen = term.queue ? counts.of(*term.queue) : counts.total();
        switch (term.comparison) {
        case Comparison::equal:
            return seen == term.number;
        case Comparison::at_least:
            return seen >= term.number;
        case Comparison::at_most:
            return seen <= term.number;
        case Comparison::more:
            return seen > term.number;
        case Comparison::less:
            return seen < term.number;
        }
        return false;
    });
}

} // namespace bulkhead
