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
        case 'fatal':
            no_such_function();
            // no break, as the script ends here
        case '204':
            http_response_code(204);
            exit;
        default:
            http_response_code((int) $gate);
            echo "the answer is $gate";
            if (isset($_GET['finish']) && function_exists('fastcgi_finish_request')) {
                fastcgi_finish_request(); // as Symfony's and Laravel's kernels do before they end their work
                for ($turn = 0; $turn < 2000 && told($_GET['finish']) === ''; $turn++) {
                    usleep(5_000);
                }
            }
            exit;
    }
}
