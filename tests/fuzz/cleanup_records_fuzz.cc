// Any bytes from a client of cleanup: no crash, and what is accepted is a queue file
// that reads back with the same number of recipients, however the stream was cut.
#include "assembler.h"
#include "async/scope.h"
#include "spool/envelope.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

namespace
{

class Same final : public AddressCompleter
{
public:
    Task<Result<std::string>> complete(ipc::RewriteContext, std::string address) override
    {
        if (address.find('@') == address.npos)
            address += "@a.test";
        co_return address;
    }
};

// The defaults, and tables that say something.
struct Params : CleanupParams {
    Params()
    {
        message_size_limit.set(100'000);
        header_size_limit.set(1000);
        header_address_limit.set(100);
        hopcount_limit.set(50);
        mime_nesting_limit.set(10);
        mime_boundary_limit.set(70);
        body_checks_limit.set(1000);
        attribute_limit.set(100);
        duplicate_limit.set(1000);
        drop_headers.set({"bcc"});
        replace_stray_cr_lf.set(true);
        detect_8bit_encoding.set(true);
        alias_expansion_limit.set(20);
        alias_recursion_limit.set(5);
        alias_length_limit.set(100);
        enable_original_recipient.set(true);
        recipient_delimiter.set("+");
        canonical_classes.set({"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"});
        canonical_maps.set("inline:{joe@a.test=Joe.Doe@a.test}");
        virtual_alias_maps.set("inline:{{list@a.test=joe, ann@b.test}, @c.test=@d.test}");
        always_bcc.set("copy@a.test");
    }
};

Task<> run(Assembler* assembler, std::string bytes, std::size_t piece)
{
    for (std::size_t at = 0; at < bytes.size(); at += piece)
        co_await assembler->feed(bytes.substr(at, piece));
    co_await assembler->finish();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static Params params;
    static AddressMaps maps = *AddressMaps::open(params);
    static Same completer;
    ContentChecks::Specs specs;
    specs.header = specs.mime = specs.nested =
        "inline:{{Subject: a=REPLACE Subject: b}, {To: x=PREPEND X: y}}";
    specs.body = "inline:{{bad=REJECT}, {line=STRIP}, {old=REPLACE new}}";
    static ContentChecks checks = ContentChecks::open(specs);
    static AssemblyPolicy policy{params, maps, completer, "mx.a.test", &checks};
    if (size == 0)
        return 0;
    const unsigned flags = data[0];
    const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::string first;
    for (const std::size_t piece : {std::size_t{1} << 20, std::size_t{5}}) {
        Assembler assembler(policy, "ABC", flags, {1795331566, 1});
        Scope scope;
        scope.spawn(run, &assembler, bytes, piece);
        if (!assembler.result().ok())
            return 0;
        assembler.patch_sizes();
        if (first.empty())
            first = assembler.output();
        const auto read = parse_envelope(assembler.output());
        if (!read || read->recipients.size() != static_cast<std::size_t>(assembler.sizes().recipients) ||
            assembler.output() != first)
            std::abort();
    }
    return 0;
}
