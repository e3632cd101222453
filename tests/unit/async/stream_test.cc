#include "async/scope.h"
#include "async/stream.h"
#include "async/wait.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace bulkhead
{
namespace
{

struct Pair {
    Pair()
    {
        int fds[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        near = UniqueFd(fds[0]);
        far = UniqueFd(fds[1]);
    }
    void say(std::string_view bytes) const
    {
        EXPECT_EQ(::write(far.get(), bytes.data(), bytes.size()), std::ssize(bytes));
    }
    UniqueFd near;
    UniqueFd far;
};

// Runs body(stream, pair) on the loop.
template <typename Body> void with_stream(Body body)
{
    Pair pair;
    Stream stream(std::move(pair.near));
    struct Whole {
        static Task<> call(Body b, Stream* s, Pair* p)
        {
            co_await b(*s, *p);
            Loop::current().stop();
        }
    };
    Scope scope;
    Stream* const s = &stream;
    Pair* const p = &pair;
    Loop::current().post([&] { scope.spawn(Whole::call, body, s, p); });
    Loop::current().run();
}

TEST(Stream, ReadsLinesInEverySplit)
{
    const std::string bytes = "EHLO a\r\nNOOP\nQUIT\r\n";
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        struct Body {
            std::size_t cut;
            std::string bytes;
            Task<> operator()(Stream& stream, Pair& pair)
            {
                Scope scope;
                scope.spawn(send_in_two, &pair, bytes, cut);
                std::vector<std::string> lines;
                std::vector<bool> bare;
                for (int i = 0; i < 3; ++i) {
                    const auto line = co_await stream.read_line(100);
                    EXPECT_TRUE(line);
                    if (!line)
                        co_return;
                    lines.emplace_back(line->text);
                    bare.push_back(line->bare_lf);
                }
                EXPECT_EQ(lines, (std::vector<std::string>{"EHLO a", "NOOP", "QUIT"}));
                EXPECT_EQ(bare, (std::vector<bool>{false, true, false}));
                co_await scope.empty();
            }
            static Task<> send_in_two(Pair* pair, std::string bytes, std::size_t cut)
            {
                if (cut > 0)
                    pair->say(bytes.substr(0, cut));
                co_await sleep_for(Milliseconds(1));
                if (cut < bytes.size())
                    pair->say(bytes.substr(cut));
            }
        };
        with_stream(Body{cut, bytes});
    }
}

TEST(Stream, CutsALineThatIsTooLongAndStaysInStep)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            pair.say(std::string(5000, 'x') + "\r\nNEXT\r\n");
            const auto cut = co_await stream.read_line(100);
            EXPECT_TRUE(cut && !cut->complete && cut->text == std::string(100, 'x'));
            const auto next = co_await stream.read_line(100);
            EXPECT_TRUE(next && next->complete && next->text == "NEXT");
        }
    };
    with_stream(Body{});
}

TEST(Stream, TimesOut)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair&)
        {
            stream.set_timeout(Milliseconds(10));
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(!line && line.error().fault == Fault::timeout);
        }
    };
    with_stream(Body{});
}

TEST(Stream, AShorterTimeoutCountsAfterALongerOne)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            Scope scope;
            stream.set_timeout(Milliseconds(60'000));
            scope.spawn(say_later, &pair);
            const auto first = co_await stream.read_line(100);
            EXPECT_TRUE(first);
            const auto start = SteadyClock::now();
            stream.set_timeout(Milliseconds(20));
            const auto second = co_await stream.read_line(100);
            EXPECT_TRUE(!second && second.error().fault == Fault::timeout);
            EXPECT_LT(SteadyClock::now() - start, Milliseconds(5000));
            co_await scope.empty();
        }
        static Task<> say_later(Pair* pair)
        {
            co_await sleep_for(Milliseconds(2));
            pair->say("a\r\n");
        }
    };
    with_stream(Body{});
}

TEST(Stream, SeesTheEndBehindTheLastBytes)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            Scope scope;
            scope.spawn(say_and_close, &pair);
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(line && line->text == "QUIT");
            const auto end = co_await stream.read_line(100);
            EXPECT_TRUE(!end && end.error().fault == Fault::closed);
            co_await scope.empty();
        }
        static Task<> say_and_close(Pair* pair)
        {
            co_await sleep_for(Milliseconds(2));
            pair->say("QUIT\r\n");
            pair->far.reset();
        }
    };
    with_stream(Body{});
}

TEST(Stream, SendsMoreThanTheSocketHolds)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            const std::string much(4 << 20, 'm');
            Scope scope;
            std::size_t got = 0;
            scope.spawn(read_all, &pair, &got);
            stream.write(much);
            const auto flushed = co_await stream.flush();
            EXPECT_TRUE(flushed);
            stream.close();
            co_await scope.empty();
            EXPECT_EQ(got, much.size());
        }
        static Task<> read_all(Pair* pair, std::size_t* got)
        {
            Stream other(std::move(pair->far));
            for (;;) {
                const auto more = co_await other.fill();
                *got += other.buffered().size();
                other.consume(other.buffered().size());
                if (!more)
                    co_return;
            }
        }
    };
    with_stream(Body{});
}

constexpr std::size_t too_much = 4 << 20; // bytes, more than the socket holds

// Room is told of once each time that there was none, also to a stream that waits for input.
TEST(Stream, AReaderSendsOnAsRoomComes)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            Scope scope;
            scope.spawn(take_all_and_answer, &pair);
            stream.write(std::string(too_much, 'm'));
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(line && line->text == "250 all of it");
            co_await scope.empty();
        }
        static Task<> take_all_and_answer(Pair* pair)
        {
            Stream other(std::move(pair->far));
            for (std::size_t got = 0; got < too_much;) {
                const auto more = co_await other.fill();
                EXPECT_TRUE(more);
                if (!more)
                    co_return;
                got += other.buffered().size();
                other.consume(other.buffered().size());
            }
            other.write("250 all of it\r\n");
            (void)co_await other.flush();
        }
    };
    with_stream(Body{});
}

TEST(Stream, IsSilentUntilThePeerSpeaksOrLeaves)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            EXPECT_FALSE(stream.is_silent()); // nobody has looked
            Scope scope;
            scope.spawn(answer, &pair);
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(line && stream.is_silent());
            pair.far.reset();
            co_await sleep_for(Milliseconds(2));
            EXPECT_FALSE(stream.is_silent());
            co_await scope.empty();
        }
        static Task<> answer(Pair* pair)
        {
            co_await sleep_for(Milliseconds(2));
            pair->say("250 ok\r\n");
        }
    };
    with_stream(Body{});
}

TEST(Stream, CancelWakesTheWaiter)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair&)
        {
            Scope scope;
            scope.spawn(cancel_later, &stream);
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(!line && line.error().fault == Fault::cancelled);
            co_await scope.empty();
        }
        static Task<> cancel_later(Stream* stream)
        {
            co_await sleep_for(Milliseconds(2));
            stream->cancel();
        }
    };
    with_stream(Body{});
}

TEST(Stream, OutputGoesOutBeforeItWaitsForInput)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            Scope scope;
            scope.spawn(answer, &pair);
            stream.write("250 ok\r\n");
            const auto line = co_await stream.read_line(100);
            EXPECT_TRUE(line && line->text == "250 ok");
            co_await scope.empty();
        }
        static Task<> answer(Pair* pair)
        {
            Stream other(std::move(pair->far));
            const auto line = co_await other.read_line(100);
            EXPECT_TRUE(line);
            if (!line)
                co_return;
            const std::string back = std::string(line->text) + "\r\n";
            other.write(back);
            const auto sent = co_await other.flush();
            EXPECT_TRUE(sent);
        }
    };
    with_stream(Body{});
}

// What pair's far end has got by now.
std::string received(const Pair& pair)
{
    std::string bytes(4096, '\0');
    const ssize_t n = ::recv(pair.far.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
}

TEST(Stream, WhoKeepsItsOutputMayWriteOnBehindAFlush)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            std::string& out = stream.output();
            for (const char* text : {"one", "two", "three"}) {
                out += text;
                const auto sent = co_await stream.flush();
                EXPECT_TRUE(sent);
                EXPECT_EQ(received(pair), text);
                EXPECT_EQ(stream.unsent(), 0u);
            }
            out += "four ";
            stream.write("five");
            (void)co_await stream.flush();
            EXPECT_EQ(received(pair), "four five");
        }
    };
    with_stream(Body{});
}

TEST(Stream, HiddenOutputLeavesNothingInMemoryThatOthersGet)
{
    constexpr std::size_t size = 3000;
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            stream.hide_output();
            stream.write(std::string(size, 'x'));
            const char* const memory = stream.output().data();
            (void)co_await stream.flush();
            EXPECT_EQ(received(pair), std::string(size, 'x'));
            Pair another;
            Stream other(std::move(another.near));
            other.write("a");
            EXPECT_EQ(other.output().data(), memory) << "the memory was to be used again";
            EXPECT_EQ(std::string_view(memory, size).find('x'), std::string_view::npos);
        }
    };
    with_stream(Body{});
}

TEST(Stream, RestsOnlyWithoutInput)
{
    struct Body {
        Task<> operator()(Stream& stream, Pair& pair)
        {
            pair.say("MAIL\r\nRC");
            const auto line = co_await stream.read_line(100);
            stream.rest();
            EXPECT_TRUE(line && line->text == "MAIL");
            EXPECT_EQ(stream.buffered(), "RC");
            stream.rest();
            EXPECT_EQ(stream.buffered(), "RC");
            stream.consume(2);
            stream.rest();
            EXPECT_EQ(stream.buffered(), "");
            pair.say("RSET\r\n");
            const auto next = co_await stream.read_line(100);
            EXPECT_TRUE(next && next->text == "RSET");
        }
    };
    with_stream(Body{});
}

} // namespace
} // namespace bulkhead
