<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use RuntimeException;

/**
 * A container whose filter of system calls (seccomp) answers with EPERM, as Docker before 20.10.10 does for all that it does not
 * know. Perl, which every Debian has, makes the two calls for it.
 */
final class RefusedCalls
{
    /** Numbers on x86-64 and on ARM; the kernel's newer calls have the same everywhere. */
    private const NUMBERS = [
        'clone3' => [435, 435],
        'close_range' => [436, 436],
        'epoll_create1' => [291, 20],
        'eventfd2' => [290, 19],
        'faccessat2' => [439, 439],
        'getrandom' => [318, 278],
        'pidfd_open' => [434, 434],
        'prctl' => [157, 167],
        'prlimit64' => [302, 261],
        'process_vm_writev' => [311, 271],
        'statx' => [332, 291],
    ];

    private const PERL = <<<'PERL'
        my ($prctl, $calls) = splice @ARGV, 0, 2;
        my @refused = split /,/, $calls;
        my $filter = pack 'SCCL', 0x20, 0, 0, 0;
        $filter .= pack('SCCL', 0x15, 0, 1, $_) . pack('SCCL', 0x06, 0, 0, 0x00050001) for @refused;
        $filter .= pack 'SCCL', 0x06, 0, 0, 0x7fff0000;
        my $program = pack 'S x![P] P', length($filter) / 8, $filter;
        syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
        syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "seccomp: $!";
        exec @ARGV or die "$ARGV[0]: $!";
        PERL;

    /**
     * What to put before a command so that it, and all that it starts, is refused these system calls.
     *
     * @param string $names with commas; '' for none
     * @return list<string>
     */
    public static function prefix(string $names): array
    {
        if ($names === '') {
            return [];
        }
        $column = match (php_uname('m')) {
            'x86_64' => 0,
            'aarch64' => 1,
            default => throw new RuntimeException('the numbers of system calls are not known for ' . php_uname('m')),
        };
        $numbers = array_map(static fn (string $name): int => self::NUMBERS[$name][$column], explode(',', $names));

        return ['perl', '-e', self::PERL, (string) self::NUMBERS['prctl'][$column], implode(',', $numbers)];
    }
}
