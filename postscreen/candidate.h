// A client under test: who it is, which tests are due, and what they have found so far.
#pragma once

#include "test_results.h"

#include "base/clock.h"
#include "ipc/hand_over.h"
#include "smtp/reply.h"

#include <string>
#include <string_view>

namespace bulkhead
{

// What becomes of a client that fails a test: nothing, a refusal of each recipient, or the end.
enum class Action : std::uint8_t { ignore, enforce, drop };

struct Candidate {
    ipc::SessionState ends; // the client's address and ours
    bool known = false;     // the cache had an entry
    TestResults results;
    Tests due;
    Tests passed;
    bool failed = false;  // for one reason at least that counts
    bool ignored = false; // has failed a test that does not count
    bool vetoed = false;  // at an address of ours where nobody passes
    Reply answer;         // to each recipient

    SteadyTime since{};
    bool closing = false; // nothing more is said but `farewell`
    bool gone = false;    // the client has hung up, or is another process's

    // For log lines and footers.
    std::string helo;
    bool extended = false;
    std::string sender;
    std::string recipient;

    // "[192.0.2.1]:4711"
    std::string label() const;

    // Seconds since `since`, as log lines have them.
    std::string elapsed() const;

    // The test has found something; whether it counts is up to refuse().
    void fail(Test test);
    bool is_clean() const { return !failed && !ignored; }
    void refuse(Reply reply)
    {
        failed = true;
        answer = std::move(reply);
    }

    // The test has found nothing; that counts until this moment (Unix time).
    void pass(Test test, std::int64_t until);
};

// What a peer has sent, for a log line: "EHLO x\r\n", at most 100 bytes of it.
std::string escaped(std::string_view bytes);

} // namespace bulkhead
