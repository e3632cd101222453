#include "log/log.h"

#include "base/unique_fd.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

namespace bulkhead
{
namespace
{

// The log writer's end of the socket that lines are sent to.
struct Receiver {
    Receiver() : fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        log::Target target;
        target.kind = log::Target::Kind::postlog;
        target.path = path;
        log::open(target, "postfix/test", "mx");
    }
    ~Receiver()
    {
        log::open({}, "test", "");
        ::unlink(path.c_str());
    }
    std::string take_all() const
    {
        std::string all(1 << 20, '\0');
        std::size_t size = 0;
        for (ssize_t n = 0; n >= 0; n = ::recv(fd.get(), all.data() + size, all.size() - size, 0))
            size += static_cast<std::size_t>(n);
        all.resize(size);
        return all;
    }
    std::string path = "/tmp/bulkhead-log-test." + std::to_string(::getpid());
    UniqueFd fd;
};

TEST(Log, WhatTheReceiverDoesNotTakeNowWaits)
{
    const Receiver receiver;
    int lines = 0;
    do {
        log::info("line " + std::to_string(++lines));
    } while (log::flush() && lines < 100'000);
    ASSERT_FALSE(log::flush()); // the socket is full
    log::info("line " + std::to_string(++lines));

    std::string got = receiver.take_all();
    EXPECT_TRUE(log::flush());
    got += receiver.take_all();
    EXPECT_EQ(std::ranges::count(got, '\n'), lines);
    EXPECT_TRUE(got.ends_with(": line " + std::to_string(lines) + "\n"));
    EXPECT_EQ(log::dropped(), 0u);
}

TEST(LogLine, PeerBytesCannotMakeASecondLine)
{
    LogLine line("4F2C1");
    line.address("from", "a\nb")("size", 12);
    EXPECT_EQ(line.text(), "4F2C1: from=<a?b>, size=12");
}

TEST(LogLine, TheNoteComesLastInParentheses)
{
    LogLine line("4F2C1");
    line("status", "sent").note("250 2.0.0 Ok");
    EXPECT_EQ(line.text(), "4F2C1: status=sent (250 2.0.0 Ok)");
}

TEST(FormatDelay, HasTwoSignificantDigits)
{
    struct Row {
        double seconds;
        const char* text;
    };
    for (const Row& row : {Row{0, "0"}, Row{0.004, "0"}, Row{0.03, "0.03"}, Row{0.5, "0.5"}, Row{1.24, "1.2"},
                           Row{1.0, "1"}, Row{11.4, "11"}, Row{353.2, "353"}, Row{-1, "0"}})
        EXPECT_EQ(format_delay(row.seconds), row.text);
}

} // namespace
} // namespace bulkhead
