#include "table/decision.h"

namespace bulkhead
{

static DecisionListener& listener()
{
    static DecisionListener one;
    return one;
}

void listen_to_decisions(DecisionListener new_listener)
{
    listener() = std::move(new_listener);
}

bool decisions_are_told()
{
    return static_cast<bool>(listener());
}

void tell_decision(const Decision& decision)
{
    if (listener())
        listener()(decision);
}

} // namespace bulkhead
