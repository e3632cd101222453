// What a restriction, or a list of them, says of a command.
#pragma once

#include "smtp/reply.h"

#include <utility>

namespace bulkhead
{

class [[nodiscard]] Verdict
{
public:
    enum class Kind { undecided, permit, refuse };

    Verdict() = default;
    explicit Verdict(Reply reply) : kind_(Kind::refuse), reply_(std::move(reply)) {}
    static Verdict permit()
    {
        Verdict verdict;
        verdict.kind_ = Kind::permit;
        return verdict;
    }

    bool decided() const { return kind_ != Kind::undecided; }
    bool refused() const { return kind_ == Kind::refuse; }
    const Reply& reply() const { return reply_; }

private:
    Kind kind_ = Kind::undecided;
    Reply reply_;
};

} // namespace bulkhead
