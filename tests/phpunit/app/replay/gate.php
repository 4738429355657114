<?php

declare(strict_types=1);

/** Lets the page go on, or answers for it. */
function pass(string $gate): void
{
    switch ($gate) {
        case '':
            return;
        case '200':
            exit('no stream today');
        case '302':
            header('Location: /hello.php');
            exit;
        case 'throw':
            throw new RuntimeException('thrown before the stream');
        default:
            http_response_code((int) $gate);
            exit("the answer is $gate");
    }
}
