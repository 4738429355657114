<?php

declare(strict_types=1);

// Logs in, out, or gives the whole session up.
session_start();
match ($_GET['do']) {
    'login' => $_SESSION['user'] = 'alice',
    'logout' => session_unset(),
    'destroy' => session_destroy(),
};
echo 'done';
