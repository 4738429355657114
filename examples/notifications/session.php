<?php

/** Who is logged in; ends the request where nobody is. */
function user(): int
{
    session_save_path(getenv('EXAMPLE_DATA') ?: sys_get_temp_dir());
    // Read and close: a render waits for no lock.
    session_start(['read_and_close' => true]);
    $user = $_SESSION['user'] ?? 0;
    if ($user === 0) {
        http_response_code(403);
        exit('Nobody is logged in.');
    }

    return $user;
}
