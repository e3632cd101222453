// A message through the assembler, without a loop: the completer answers at once.
#pragma once

#include "assembler.h"
#include "async/scope.h"
#include "spool/record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead
{

class OriginCompleter final : public AddressCompleter
{
public:
    Task<Result<std::string>> complete(ipc::RewriteContext context, std::string address) override
    {
        if (fails)
            co_return Error(Fault::broken, "rewrite service is down");
        if (address.find('@') == address.npos)
            address += context == ipc::RewriteContext::local ? "@origin.test" : "@remote.invalid";
        co_return address;
    }
    bool fails = false;
};

// Records as "S:joe@a.test"; "N" and "N:" are empty.
using Records = std::vector<std::string>;

inline std::string encode(const Records& records)
{
    std::string out;
    for (const std::string& one : records)
        append_record(out, static_cast<RecordType>(one[0]), one.size() > 2 ? one.substr(2) : std::string());
    return out;
}

inline Records decode(std::string_view bytes)
{
    Records records;
    RecordReader reader(bytes);
    for (;;) {
        const auto record = reader.next();
        if (!record || !*record)
            return records;
        records.push_back(std::string(1, static_cast<char>((*record)->type)) + ':' +
                          std::string((*record)->data));
    }
}

class Assembly : public testing::Test
{
protected:
    void SetUp() override
    {
        params.message_size_limit.set(10'240'000);
        params.header_size_limit.set(102'400);
        params.header_address_limit.set(10'240);
        params.hopcount_limit.set(50);
        params.mime_nesting_limit.set(100);
        params.mime_boundary_limit.set(2048);
        params.body_checks_limit.set(51'200);
        params.attribute_limit.set(100);
        params.duplicate_limit.set(1000);
        params.drop_headers.set({"bcc", "content-length", "resent-bcc", "return-path"});
        params.header_from_format.set("standard");
        params.empty_address_recipient.set("MAILER-DAEMON");
        params.replace_stray_cr_lf.set(true);
        params.detect_8bit_encoding.set(true);
        params.myorigin.set("origin.test");
        params.recipient_delimiter.set("+");
        params.propagate_extensions.set({"canonical", "virtual"});
        params.canonical_classes.set(
            {"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"});
        params.sender_canonical_classes.set({"envelope_sender", "header_sender"});
        params.recipient_canonical_classes.set({"envelope_recipient", "header_recipient"});
        params.alias_expansion_limit.set(1000);
        params.alias_recursion_limit.set(1000);
        params.alias_length_limit.set(1000);
        params.enable_original_recipient.set(true);
    }

    static Task<> run(Assembler* assembler, std::string bytes, std::size_t piece)
    {
        for (std::size_t at = 0; at < bytes.size(); at += piece)
            co_await assembler->feed(bytes.substr(at, piece));
        co_await assembler->finish();
    }

    // The file that these records become, all of it.
    std::string assemble_bytes(const std::string& bytes, std::size_t piece = 1'000'000)
    {
        auto opened = AddressMaps::open(params);
        EXPECT_TRUE(opened) << (opened ? "" : opened.error().context);
        maps = *std::move(opened);
        AssemblyPolicy policy{params, maps, completer, "mx.origin.test"};
        Assembler assembler(policy, "ABC123", flags, {1795331566, 42});
        Scope scope;
        scope.spawn(run, &assembler, bytes, piece);
        EXPECT_EQ(scope.size(), 0u);
        EXPECT_TRUE(assembler.patch_sizes() || !assembler.result().ok());
        result = assembler.result();
        sizes = assembler.sizes();
        written = assembler.written();
        return assembler.output();
    }
    Records assemble(const Records& records) { return decode(assemble_bytes(encode(records))); }

    // The content of a message with these lines, for one recipient.
    Records content(const Records& lines)
    {
        Records records{"T:1795331558 710110", "S:s@a.test", "R:r@b.test", "M"};
        records.insert(records.end(), lines.begin(), lines.end());
        records.insert(records.end(), {"X", "E"});
        const Records made = assemble(records);
        const auto begin = std::ranges::find(made, "M:");
        const auto end = std::ranges::find(made, "X:");
        return begin == made.end() ? Records{} : Records(begin + 1, end);
    }

    CleanupParams params;
    AddressMaps maps;
    OriginCompleter completer;
    unsigned flags = ipc::cleanup_flag::map_addresses;
    ipc::CleanupResult result;
    MessageSizes sizes;
    std::vector<Assembler::Written> written;
};

} // namespace bulkhead
