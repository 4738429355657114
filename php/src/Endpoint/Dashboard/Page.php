<?php

declare(strict_types=1);

namespace Sse\Endpoint\Dashboard;

use RuntimeException;
use Sse\Endpoint\Answer;

/**
 * The dashboard's page: one file with its style and script, which is built of php/demo/web/src/operator.
 *
 * @internal
 */
final class Page
{
    /** @param list<string> $rights what its user may do beside looking */
    public static function answer(array $rights): Answer
    {
        $page = file_get_contents(__DIR__ . '/page.html');
        if ($page === false) {
            throw new RuntimeException('the library lacks ' . __DIR__ . '/page.html');
        }
        $nonce = base64_encode(random_bytes(18));

        return new Answer(200, strtr($page, ['{nonce}' => $nonce, '{rights}' => implode(' ', $rights)]), [
            'Content-Type' => 'text/html; charset=utf-8',
            // Should text ever become markup by mistake, it still can't run; nor can another site show the page in a frame.
            'Content-Security-Policy' => "default-src 'none'; script-src 'nonce-$nonce'; style-src 'nonce-$nonce'; img-src data:; "
                . "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                . "require-trusted-types-for 'script'; trusted-types 'none'",
            'X-Frame-Options' => 'DENY',
            'Referrer-Policy' => 'no-referrer',
            'Cross-Origin-Opener-Policy' => 'same-origin',
        ]);
    }
}
