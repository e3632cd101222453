#include "async/wait.h"
#include "async/scope.h"

#include "log/log.h"

#include <exception>

#include <fmt/format.h>

namespace bulkhead
{

void WaitList::push(Node& node)
{
    node.next = nullptr;
    node.previous = last_;
    (last_ ? last_->next : first_) = &node;
    last_ = &node;
    node.queued = true;
}

void WaitList::remove(Node& node)
{
    (node.previous ? node.previous->next : first_) = node.next;
    (node.next ? node.next->previous : last_) = node.previous;
    node.queued = false;
}

WaitList::Node* WaitList::pop()
{
    Node* const node = first_;
    if (node)
        remove(*node);
    return node;
}

void WaitList::wake_one()
{
    if (Node* node = pop())
        resume_later(node->handle);
}

void WaitList::wake_all()
{
    while (!empty())
        wake_one();
}

void resume_later(std::coroutine_handle<> handle)
{
    Loop::current().post([handle] { handle.resume(); });
}

void Condition::Awaiter::await_suspend(std::coroutine_handle<> handle)
{
    node_.handle = handle;
    condition_.list_.push(node_);
    if (timeout_ > Milliseconds(0))
        timer_.start(timeout_);
}

void Condition::Awaiter::expire()
{
    if (!node_.queued)
        return; // woken in this very turn
    condition_.list_.remove(node_);
    expired_ = true;
    node_.handle.resume();
}

void Scope::Root::promise_type::unhandled_exception() noexcept
{
    Scope::report_exception();
}

void Scope::report_exception() noexcept
{
    try {
        throw;
    } catch (const std::exception& surprise) {
        log::error(fmt::format("session ended by an unexpected exception: {}", surprise.what()));
    } catch (...) {
        log::error("session ended by an unexpected exception");
    }
}

void Scope::finished()
{
    if (--size_ == 0)
        waiters_.wake_all();
}

} // namespace bulkhead
